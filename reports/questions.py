"""The questions and claims behind this project, each with a short answer: the text is ours, the numbers computed."""

from __future__ import annotations

from dataclasses import dataclass

from reports import claims, formatting, price
from reports.answer import lines
from reports.claims import KERAS, Claim, Computed
from reports.sections import code, engines, gadgets, heritage
from reports.sections.heritage import Heritage
from reports.verdicts import SAME, Verdict


@dataclass(frozen=True)
class Answer:
    """A question or a claim by its id, an answer in a sentence or two, and where on the page the evidence is."""

    id: str
    asked: str
    said: str
    place: str
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Known:
    """What the answers are made from."""

    found: Computed
    claims: dict[str, Claim]
    kept: Heritage | None

    @property
    def keras(self) -> str:
        return self.found.evidence.title(KERAS)

    @property
    def raw(self) -> str:
        return self.found.evidence.title(self.found.raw)

    def story(self, program: str, start: str = "") -> str:
        """The first line that a small program printed, of those that start with `start`; "" where it is not kept."""
        stories = self.kept.stories if self.kept else []
        told = [line for story in stories if story.program == program for line in story.lines]
        return next((line for line in told if line.startswith(start)), "")


def answers(found: Computed, said: list[Claim], kept: Heritage | None) -> list[Answer]:
    """All of them: questions first, then claims, in the order in which they were asked."""
    known = Known(found, {claim.id: claim for claim in said}, kept)
    return [*_why(known), *_what(known), *_gadgets(known), *_engine_claims(known), *_release_claims(known)]


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _quoted(text: str) -> str:
    return f"“{text}”" if text else ""


def _written(known: Known) -> str:
    """`19 lines for 60`; "" where no program was read."""
    mine, raw = lines(known.found.evidence, KERAS), lines(known.found.evidence, known.found.raw)
    return f"{mine:.0f} lines of {known.keras} for {raw:.0f} of {known.raw}" if mine and raw else ""


def _paid(known: Known) -> str:
    told = price.told(known.found, KERAS)
    return f"The price: {formatting.listed(told)}." if told else ""


def _concepts(known: Known) -> str:
    """How many concepts a reader of the programs meets."""
    counts = []
    for name in (known.found.raw, KERAS):
        met = {c for it in known.found.evidence.programs if it.implementation == name for c in it.concepts}
        if met:
            counts.append(f"{len(met)} in {known.found.evidence.title(name)}")
    return f"Concepts a reader has to know: {formatting.listed(counts)}." if counts else ""


def _why(known: Known) -> list[Answer]:
    alone = known.story("alone_no_engine")
    alone_fit = known.story("alone_numpy", "fit:")
    refused = f"Without an engine it does not even start: {_quoted(alone)}." if alone else ""
    untrained = f"On its NumPy backend it predicts, but {_quoted(alone_fit)}" if alone_fit else ""
    less = _written(known)
    return [
        Answer(
            "Q1",
            "Why does Keras need the TensorFlow engine?",
            _joined(
                "Because Keras computes nothing itself; it needs an engine, TensorFlow being one of three.", refused
            ),
            "heritage",
        ),
        Answer(
            "Q2",
            "I can build it in TensorFlow, so why do most people use Keras?",
            _joined(
                f"Less to write: {less}." if less else "", "Not where many small calls have to be fast.", _paid(known)
            ),
            "code",
        ),
        Answer(
            "Q3",
            "If both do the same, why put one on the other?",
            _joined("They share the work: the engine computes, the API says what.", _alike_in_all(known)),
            "equivalence",
            known.claims["same"].verdict,
        ),
        Answer(
            "Q4",
            "What is the difference between an API and an engine?",
            "An engine runs operations on tensors and finds gradients (TensorFlow, PyTorch, JAX). An API is the words "
            "in which a model is written (Keras, torch.nn, raw ops). TensorFlow is an engine with several APIs.",
            "claim-own-engine",
        ),
        Answer(
            "Q5",
            "Why can't Keras stand alone, and why does TensorFlow need no backend?",
            _joined("TensorFlow has kernels and gradients of its own; Keras borrows them.", untrained),
            "heritage",
        ),
        Answer(
            "Q6",
            "Can I see the same program in TensorFlow and in Keras on it?",
            "Side by side, section by section, for every model.",
            "code",
        ),
    ]


def _alike_in_all(known: Known) -> str:
    """What the comparisons say; never more than their verdict."""
    verdict = known.claims["same"].verdict
    if verdict == claims.REFUTED:
        return "What is computed should be the same; here something differs without a known cause."
    if verdict == claims.UNKNOWN:
        return ""
    return "What was compared is the same" + (" but for known differences." if verdict == claims.EXCEPT else ".")


def _what(known: Known) -> list[Answer]:
    evidence = known.found.evidence
    return [
        Answer("Q7", "What does a Keras layer call?", _layer(known), "engines"),
        Answer("Q8", "Is Keras like scikit-learn?", _sklearn(known), "heritage"),
        Answer(
            "Q9",
            "What does TensorFlow lack, and what Keras?",
            _joined(
                f"{known.raw} lacks layers, optimizers and fit: you write them.",
                f"{known.keras} lacks an engine, and words for what it has no layer for.",
                _concepts(known),
            ),
            "concepts" if any(it.concepts for it in evidence.programs) else "code",
        ),
        Answer(
            "Q10",
            "How does the abstraction work, and has TensorFlow one too?",
            "A layer calls functions of a backend module (keras.ops), and each engine has one such module. "
            "TensorFlow's abstraction is below: an op has a kernel for each device.",
            "engines",
        ),
        Answer(
            "Q11",
            "Is TensorFlow hard to code?",
            _joined(
                "More is written by hand: weights, loss, update, loop.",
                f"{_written(known)}." if _written(known) else "",
                _concepts(known),
            ),
            "code",
        ),
        Answer(
            "Q12",
            "What has to be updated, the API or the framework, and what does that mean for my code?",
            _joined(
                "Your code names functions of a release; where one goes or changes, that line has to be rewritten.",
                claims.rewritten(evidence).strip(),
                _released(known),
            ),
            "engines",
        ),
        Answer(
            "Q13",
            "Why would Keras use a better way that TensorFlow gets?",
            _joined("It asks the engine for its operations, so a faster kernel is used at once.", _own(known)),
            "engines",
            known.claims["own-engine"].verdict,
        ),
    ]


def _layer(known: Known) -> str:
    """The operations that a step of the smallest model asks of its engine, the most frequent first."""
    steps = [
        it
        for it in known.found.evidence.operations
        if (it.cell.implementation, it.cell.backend, it.what) == (KERAS, known.found.engine, "predict")
    ]
    start = "A Dense layer calls a product, an addition and its activation."
    if not steps:
        return f"{start} This run traced no operations (a full run does)."
    smallest = min(steps, key=lambda it: it.total)
    traced = f"Traced, a prediction of {smallest.cell.model} is {code.operations(smallest.counts)}."
    return f"{start} {traced}"


def _sklearn(known: Known) -> str:
    score = known.story("cross_validation_keras3", "neg_mean_squared_error")
    text = "No: scikit-learn brings its own computation, Keras borrows an engine's."
    wrapped = "Its wrapper makes a model an estimator, so that cross-validation works"
    return f"{text} {wrapped}: {formatting.rounded(score)}." if score else f"{text} {wrapped}."


def _released(known: Known) -> str:
    """What became of programs on other releases."""
    parts = []
    for title, raw in (("raw programs", True), (known.keras, False)):
        of_title = [it for it in known.found.evidence.upgrades if it.implementation.startswith("raw")]
        if not raw:
            of_title = [it for it in known.found.evidence.upgrades if it.implementation == KERAS]
        if of_title:
            parts.append(f"{title}: {engines.outcomes(of_title)}")
    return f"On other releases, {'; '.join(parts)}." if parts else ""


def _own(known: Known) -> str:
    claim = known.claims["own-engine"]
    return "" if claim.verdict == claims.UNKNOWN else claim.sentence.partition(". ")[0].rstrip(".") + "."


def _gadgets(known: Known) -> list[Answer]:
    brought = gadgets.gadgets(known.found.evidence)
    text = brought.sentence if brought.rows else "This run ran no feature (a full run does)."
    return [
        Answer(
            "C1",
            "An API brings gadgets: early stopping, generators, augmentation",
            _joined(text.strip(), known.found.evidence.kept_since("gadgets").strip()),
            "gadgets",
            known.claims["gadgets"].verdict,
        ),
        Answer(
            "C2",
            "TensorFlow is more complex to write",
            _joined(
                f"{_written(known)}." if _written(known) else "No program of both was read.",
                _concepts(known),
            ),
            "code",
            known.claims["shorter"].verdict,
        ),
        Answer(
            "C3",
            "Theano, then Keras, TensorFlow, and Keras inside it: 2009 to 2017",
            "Yes, and it went on.",
            "timeline",
        ),
        Answer(
            "C4",
            "The only Keras is the one in TensorFlow",
            "It was, from 2020 to 2023. Keras 3 is a package of its own, on several engines again.",
            "timeline",
            claims.REFUTED,
        ),
    ]


def _engine_claims(known: Known) -> list[Answer]:
    swaps, own = known.claims["engine"], known.claims["own-engine"]
    setting = next((it.setting for it in known.found.evidence.changes if it.setting), "KERAS_BACKEND")
    numba = _numba(known)
    return [
        Answer(
            "C5",
            "A convolution calls keras.backend, which a configuration file chooses",
            f"Yes; today keras.ops, chosen by {setting} or ~/.keras/keras.json before the import.",
            "engines",
            claims.HOLDS,
        ),
        Answer(
            "C6",
            "Written once, it runs on many engines",
            swaps.sentence.partition(". From")[0].rstrip(".") + ".",
            "equivalence",
            swaps.verdict,
        ),
        Answer(
            "C7",
            "TensorFlow 2.0 goes with Keras 2.3",
            _joined("Keras 2.3 was the last with several engines.", _then(known, "tensorflow1")),
            "heritage",
        ),
        Answer(
            "C8",
            "All calculations are the backend's",
            _own(known) or "An API has no kernels; see what it calls.",
            "engines",
            own.verdict,
        ),
        Answer("C9", "A Keras model becomes an Estimator", _estimator(known), "heritage"),
        Answer(
            "C10",
            "The Sequential example: Dense(8), Dense(1)",
            _joined("It is the model seed.", _seed(known)),
            "code",
        ),
        Answer("C11", "NumPy becomes Numba by exchanging a function", numba, "heritage"),
    ]


def _numba(known: Known) -> str:
    if known.kept is None:
        return "No run of the shim on Numba is kept."
    words = [word for row in heritage.rows(known.kept) if row.backend == "numba" for word in row.verdicts]
    if not words:
        return "No run of the shim on Numba is kept."
    same = sum(word == SAME for word in words)
    text = f"The shim's Numba backend is NumPy's, compiled: {same} of {len(words)} models compute the same"
    slower = heritage.ratio(known.kept, ("shim", "numba"), "train_step")
    plain = heritage.ratio(known.kept, ("shim", "numpy"), "train_step")
    if slower is None or plain is None:
        return f"{text}."
    return f"{text}; a step takes {formatting.ratio(slower / plain)} of NumPy's time (middle ratios)."


def _then(known: Known, backend: str) -> str:
    """What Keras 2 came to on an engine of its time."""
    every = heritage.rows(known.kept) if known.kept else []
    rows = [it for it in every if it.implementation == "keras2" and it.backend == backend]
    if not rows:
        return ""
    same, known_ = (sum(it == word for it in rows[0].verdicts) for word in (SAME, heritage.KNOWN))
    all_ = formatting.count(len(rows[0].verdicts), "model")
    return f"Run here with {rows[0].releases}: of {all_} {same} same, {known_} different with a known cause."


def _estimator(known: Known) -> str:
    then, now = known.story("estimator_then", "the weights"), known.story("estimator_now", "tf.keras")
    if not then or not now:
        return "No run of it is kept."
    return f"It did, in TensorFlow 1.15: {formatting.rounded(then)}. Estimators are gone: {_quoted(now)}."


def _seed(known: Known) -> str:
    """Its lines in each of the three ways."""
    counts = {it.implementation: it.logical_lines for it in known.found.evidence.programs if it.model == "seed"}
    told = [f"{counts[name]} with {known.found.evidence.title(name)}" for name in known.found.ways if name in counts]
    return f"Logical lines: {formatting.listed(told)}." if told else ""


def _release_claims(known: Known) -> list[Answer]:
    upgrades = known.claims["upgrades"]
    return [
        Answer(
            "C12",
            "A better TensorFlow comes for free with Keras, raw code has to be updated",
            upgrades.sentence,
            "engines",
            upgrades.verdict,
        ),
        Answer(
            "C13",
            "TensorFlow has no backend, all is from scratch",
            "It has no other framework below it, but libraries: oneDNN, Eigen and XLA, or CUDA's.",
            "engines",
        ),
        Answer(
            "C14",
            "TensorFlow 2 went imperative, like PyTorch",
            "Yes, eager calls by default; a program is fast again when tf.function makes a graph of it.",
            "speed",
            claims.HOLDS,
        ),
        Answer(
            "C15",
            "tf.keras and Keras have the same API, and became the same thing",
            _joined("From Keras 2.4 to 2.15 they were one; Keras 3 is another program.", _alike(known)),
            "heritage",
        ),
    ]


def _alike(known: Known) -> str:
    text = _then(known, "tensorflow")
    return text and f"tf-keras is the old one. {text}"
