"""Models by name, as their libraries build them, without weights: nothing is downloaded.

    hf:bert                                  a model type of transformers, by its configuration
    hf:BertForMaskedLM(num_hidden_layers=2)  a class of transformers with values of its configuration
    timm:resnet50(num_classes=10)            timm.create_model
    torchvision:vgg16                        torchvision.models
    keras.applications:ResNet50(classes=10)
    keras_hub:BertBackbone(num_layers=2, ...)
    haiku:ResNet50(num_classes=10)           haiku.nets
    package.module:factory(width=8)          any function or class that can be imported
    folder/file.py:factory(width=8)          a function of a file in the place of build()

`tiny` gives few layers and a small width wherever the library has a parameter for it that the name leaves open.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import types
from typing import TYPE_CHECKING

from impls.port.errors import UserError
from impls.port.low_precision import working_type
from impls.port.programs import load_program

if TYPE_CHECKING:
    from collections.abc import Container
    from types import ModuleType
    from typing import Any

    from impls.port.annotations import Native

    Sizes = dict[str, Any]  # values of parameters, by name

FILE_END = ".py"


class Name:
    """A name taken apart: the library or module, what of it, and the arguments."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.library, _, rest = text.partition(":")
        try:
            call = ast.parse(rest.strip(), mode="eval").body
            self.parts: list[str] = []  # `vgg16(num_classes=5).features`: what is taken of the model
            while isinstance(call, ast.Attribute) and any(isinstance(node, ast.Call) for node in ast.walk(call)):
                self.parts.insert(0, call.attr)
                call = call.value
            if isinstance(call, ast.Call):
                self.positional = [ast.literal_eval(value) for value in call.args]
                self.named = keywords_of(call)
                call = call.func
            else:
                self.positional = []
                self.named = {}
            self.attribute = ast.unparse(call)
        except (SyntaxError, ValueError) as error:
            raise UserError(
                f"{text!r}: write the model as a call whose arguments are plain values, "
                f"{self.library}:name(width=8, layers=[1, 1]): {error}"
            ) from error


def keywords_of(call: ast.Call) -> Sizes:
    """The arguments of a call by name; `**sizes` has none. Raises ValueError."""
    if any(word.arg is None for word in call.keywords):
        raise ValueError("** can't be read")
    return {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}


def program_of(text: str, tiny: bool = False) -> ModuleType:
    """A program, as a user's file is one, whose build() gives the model of this name. Raises UserError."""
    name = Name(text)
    make = LIBRARIES.get(name.library, of_module)
    if name.library.endswith(FILE_END):
        program = load_program(name.library)  # with its loss and its optimizer
    else:
        program = types.ModuleType("named_model")
        program.__file__ = text
    program.build = lambda: part_of(make(name, tiny), name)  # type: ignore[attr-defined]
    return program


def part_of(model: Native, name: Name) -> Native:
    for part in name.parts:
        if not hasattr(model, part):
            raise UserError(f"{name.text!r}: the model has no {part!r}{near(part, model)}")
        model = getattr(model, part)
    return model


def known(parameters: Container[str], sizes: Sizes) -> Sizes:
    """The sizes that these parameters have a place for."""
    return {parameter: size for parameter, size in sizes.items() if parameter in parameters}


def import_or_explain(module: str, package: str = "") -> Native:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{package or module} can't be imported: {error}") from error


def attribute_of(module: Native, name: Name) -> Native:
    """`module.name`, dots allowed."""
    found = module
    for part in name.attribute.split("."):
        if not hasattr(found, part):
            raise UserError(f"{name.text!r}: {name.library} has no {part!r}{near(part, found)}")
        found = getattr(found, part)
    return found


def near(part: str, module: Native) -> str:
    """`; did you mean ResNet50, ResNet101?`"""
    import difflib

    close = difflib.get_close_matches(part, [n for n in dir(module) if not n.startswith("_")], 4, 0.6)
    return f"; did you mean {', '.join(close)}?" if close else ""


# transformers

HF_TINY = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 64,
    "vocab_size": 97,
    "max_position_embeddings": 24,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_heads": 4,
    "num_mel_bins": 8,
    "max_source_positions": 12,
    "max_target_positions": 24,
    "image_size": 32,
    "patch_size": 8,
    "num_labels": 5,
}
SPECIAL = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "begin_suppress_tokens")


def of_transformers(name: Name, tiny: bool) -> Native:
    """A class of transformers, or its base model of a model type."""
    transformers = import_or_explain("transformers")
    declare_operators_of_torchvision()
    if hasattr(transformers, name.attribute):
        model = getattr(transformers, name.attribute)
        configure = model.config_class
    elif name.attribute in transformers.CONFIG_MAPPING:
        configure = transformers.CONFIG_MAPPING[name.attribute]
        model = transformers.MODEL_MAPPING[configure]
    else:
        raise UserError(f"{name.text!r}: transformers has no class and no model type {name.attribute!r}")
    parts = inspect.signature(model.__init__).parameters  # add_pooling_layer and the like are no configuration
    further = {key: value for key, value in name.named.items() if key in parts}
    named = {key: value for key, value in name.named.items() if key not in parts}
    config = configure(**{**hf_sizes(configure()), **named} if tiny else named)
    config._attn_implementation = "eager"  # the operations of attention are to be seen one by one
    return model(config, **further)


def hf_sizes(config: Native) -> Sizes:
    """Small values for the settings that this configuration has; token ids that a small vocabulary has not are 0."""
    sizes = {key: value for key, value in HF_TINY.items() if isinstance(getattr(config, key, None), int)}
    renamed = type(config).attribute_map  # GPT-2 calls its hidden_size n_embd, and takes both
    # Whisper's num_key_value_heads would become its encoder_attention_heads.
    sizes = {key: value for key, value in sizes.items() if renamed.get(key) not in sizes}
    for key in SPECIAL:
        value = getattr(config, key, None)
        if isinstance(value, int) and value >= sizes.get("vocab_size", value + 1):
            sizes[key] = 0
    return sizes


# timm and torchvision

TIMM_TINY = {
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 4,
    "img_size": 32,
    "patch_size": 8,
    "layers": (1, 1, 1, 1),
    "num_classes": 5,
}


def of_timm(name: Name, tiny: bool) -> Native:
    declare_operators_of_torchvision()
    timm = import_or_explain("timm")
    if not timm.is_model(name.attribute):
        close = ", ".join(timm.list_models(f"*{name.attribute.partition('_')[0]}*")[:6])
        raise UserError(f"{name.text!r}: timm has no such model{f'; it has {close}' if close else ''}")
    sizes = name.named
    if tiny:
        model = timm.create_model(name.attribute, pretrained=False, **name.named)
        sizes = {**known(inspect.signature(type(model)).parameters, TIMM_TINY), **name.named}
    return timm.create_model(name.attribute, pretrained=False, **sizes)


def of_torchvision(name: Name, tiny: bool) -> Native:
    declare_operators_of_torchvision()
    models = import_or_explain("torchvision.models", "torchvision")
    sizes = {"num_classes": 5} if tiny else {}
    return attribute_of(models, name)(*name.positional, **{"weights": None, **sizes, **name.named})


def declare_operators_of_torchvision() -> None:
    """Where torchvision's compiled operators do not load (its wheel is of another build of torch), give the names of
    those that its import asks for to torch. They compute nothing: no model for classification uses them."""
    import torch

    for _ in range(8):
        try:
            importlib.import_module("torchvision")
            return
        except ImportError:
            return
        except RuntimeError as error:
            words = str(error).split()
            if not str(error).endswith("does not exist") or len(words) < 2:
                raise
            for module in [key for key in sys.modules if key.partition(".")[0] == "torchvision"]:
                del sys.modules[module]
            torch.library.define(words[1], "(Tensor a, Tensor b, float c) -> Tensor")


# Keras

KERAS_HUB_TINY = {
    "vocabulary_size": 97,
    "num_layers": 2,
    "num_heads": 4,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "key_value_dim": 8,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "mlp_dim": 64,
    "max_sequence_length": 24,
    "num_mels": 8,
    "max_encoder_sequence_length": 24,
    "max_decoder_sequence_length": 24,
    "image_shape": (32, 32, 3),
    "patch_size": 8,
}


def of_keras_hub(name: Name, tiny: bool) -> Native:
    make = attribute_of(import_or_explain("keras_hub").models, name)
    parameters = inspect.signature(make).parameters
    sizes = known(parameters, KERAS_HUB_TINY) if tiny else {}
    if "dtype" in parameters:
        sizes["dtype"] = working_type()
    return make(*name.positional, **{**sizes, **name.named})


def of_keras_applications(name: Name, tiny: bool) -> Native:
    make = attribute_of(import_or_explain("keras").applications, name)
    sizes = {"input_shape": (64, 64, 3), "alpha": 0.35, "classes": 5} if tiny else {}
    sizes = known(inspect.signature(make).parameters, sizes)
    if tiny and name.named.get("include_top") is False:
        sizes.pop("classes", None)
    return make(*name.positional, **{"weights": None, **sizes, **name.named})


# The rest


def of_haiku(name: Name, tiny: bool) -> Native:
    haiku = import_or_explain("haiku", "dm-haiku")
    make = attribute_of(haiku.nets, name)
    sizes = known(inspect.signature(make).parameters, {"num_classes": 5}) if tiny else {}

    def forward(x: Native, is_training: bool) -> Native:
        return make(*name.positional, **{**sizes, **name.named})(x, is_training)

    return haiku.transform_with_state(forward)


def of_module(name: Name, tiny: bool) -> Native:
    """A factory of an importable module, or of a file; `tiny` is handed on where it has such a parameter."""
    module = sys.modules["user_model"] if name.library.endswith(FILE_END) else import_or_explain(name.library)
    make = attribute_of(module, name)
    sizes = {"tiny": True} if tiny and "tiny" in inspect.signature(make).parameters else {}
    return make(*name.positional, **{**sizes, **name.named})


LIBRARIES = {
    "hf": of_transformers,
    "timm": of_timm,
    "torchvision": of_torchvision,
    "keras.applications": of_keras_applications,
    "keras_hub": of_keras_hub,
    "haiku": of_haiku,
}
