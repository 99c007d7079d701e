"""`triptych completion bash|zsh|fish`: prints the completion of the command line for a shell.

Commands come from the table; the options of each are read from its own `--help`, once, when this is printed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from triptych import tree
from triptych.__main__ import COMMANDS
from triptych.messages import complain, guarded

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")

BASH = """_triptych() {
    local word=${COMP_WORDS[COMP_CWORD]}
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "@COMMANDS@" -- "$word"))
        return
    fi
    local options=
    case ${COMP_WORDS[1]} in
@CASES@
    esac
    case $word in
        -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
        *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}
complete -o filenames -F _triptych triptych
"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n"  # zsh runs bash's completions


def bash(options: dict[str, list[str]]) -> str:
    cases = [f'        {name}) options="{" ".join(found)}" ;;' for name, found in options.items()]
    return BASH.replace("@COMMANDS@", " ".join(options)).replace("@CASES@", "\n".join(cases))


def zsh(options: dict[str, list[str]]) -> str:
    return ZSH + bash(options)


def fish(options: dict[str, list[str]]) -> str:
    lines = ["complete -c triptych -n __fish_use_subcommand -f"]
    for name, found in options.items():
        summary = COMMANDS[name].summary.replace("'", "")
        lines.append(f"complete -c triptych -n __fish_use_subcommand -f -a {name} -d '{summary}'")
        lines += [f"complete -c triptych -n '__fish_seen_subcommand_from {name}' -l {word[2:]}" for word in found]
    return "\n".join(lines) + "\n"


SHELLS = {"bash": bash, "zsh": zsh, "fish": fish}


def options_of(name: str) -> list[str]:
    """The long options of a command, as its help names them."""
    command = [sys.executable, "-P", "-m", "triptych", name, "--help"]
    done = subprocess.run(command, env=tree.environment(), capture_output=True, text=True, check=False)
    return list(dict.fromkeys(OPTION.findall(done.stdout)))


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "-h" in words or "--help" in words:
        print(f"usage: triptych completion {'|'.join(SHELLS)}\n\n{COMMANDS['completion'].summary}")
        return 0
    if len(words) != 1 or words[0] not in SHELLS:
        given = f"unknown shell {words[0]!r}" if words else "no shell named"
        return complain(f"{given}: known are {', '.join(SHELLS)}")
    names = [name for name in COMMANDS if name != "completion"]
    with ThreadPoolExecutor(4) as executor:
        options = dict(zip(names, executor.map(options_of, names), strict=True))
    print(SHELLS[words[0]]({**options, "completion": []}), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
