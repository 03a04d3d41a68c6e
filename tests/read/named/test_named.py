"""MODEL on the command line: what parses, what is refused, and what is built."""

from __future__ import annotations

import sys
import textwrap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from intaglio import zoo
from intaglio.data.preprocess import Preprocess
from intaglio.errors import RequestError, UnknownName
from intaglio.read.named import ModelRequest, build_model, parse_model

FACTORIES = """
    import torch
    from torch import nn

    NETWORK = nn.Linear(2, 2)
    NUMBER = 3

    def network(width=4, *, bias=True):
        return nn.Sequential(nn.Linear(3, width, bias=bias), nn.Dropout(0.5))

    class Holder:
        @staticmethod
        def network():
            return nn.Linear(1, 1)

    def not_a_network():
        return [1, 2]

    def broken():
        raise ValueError("no such\\n   file")

    def lazy():
        import other_file_of_mine
        return other_file_of_mine.network()
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    """A module file with factories in the current directory; gives its module name."""
    name = "factories_for_parse_tests"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(FACTORIES))
    (tmp_path / "other_file_of_mine.py").write_text(
        "from torch import nn\ndef network():\n    return nn.Linear(1, 1)\n"
    )
    monkeypatch.chdir(tmp_path)
    yield name
    for imported in (name, "other_file_of_mine"):
        sys.modules.pop(imported, None)


def refusal(text: str) -> str:
    """Return the message with which `text` is refused, by parsing or building; one line."""
    with pytest.raises(RequestError) as caught:
        build_model(parse_model(text))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("mobilenet_v2", "mobilenet_v2", {}),
        ("mobilenet_v2()", "mobilenet_v2", {}),
        (" mobilenet_v1_tf ( width = 0.25 ) ", "mobilenet_v1_tf", {"width": 0.25}),
        (
            "mobilenet_v2(width=0.5, num_classes=10, small_input=True)",
            "mobilenet_v2",
            {"width": 0.5, "num_classes": 10, "small_input": True},
        ),
        ("package.module:factory(a=1)", "package.module:factory", {"a": 1}),
        (
            "a:b(text='(x)', shape=(1, -2), nothing=None, table={'k': [1.5]},)",
            "a:b",
            {"text": "(x)", "shape": (1, -2), "nothing": None, "table": {"k": [1.5]}},
        ),
    ],
)
def test_names_and_literal_keyword_arguments_parse(text, name, arguments):
    assert parse_model(text) == ModelRequest(name, arguments)


numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=9)
scalars = st.none() | st.booleans() | numbers | texts
literals = scalars | st.lists(scalars, max_size=3) | st.tuples(numbers, texts)


@given(st.dictionaries(st.sampled_from(["a", "width", "x_1", "über"]), literals, max_size=4))
def test_a_request_prints_as_the_text_that_parses_to_it(arguments):
    request = ModelRequest("package.module:factory", arguments)

    assert parse_model(str(request)) == request


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cannot read the model ''"),
        ("(width=1)", "cannot read the model"),
        ("mobilenet_v2(width=1", "cannot read the model"),
        ("mobilenet_v2)", "cannot read the model"),
        ("mobilenet_v2(width=1)x", "cannot read the model"),
        ("mobilenet_v2(width=)", "cannot read the arguments"),
        ("mobilenet_v2(width 1)", "cannot read the arguments"),
        ("mobilenet_v2(width=1)(num_classes=2)", "only one pair of brackets"),
        ("mobilenet_v2(0.5)", "an argument without a keyword, 0.5"),
        ("mobilenet_v2(*[1])", "an argument without a keyword"),
        ("mobilenet_v2(**{'width': 1})", "has ** arguments"),
        ("mobilenet_v2(width=1, width=2)", "repeated|'width' twice"),
        ("mobilenet_v2(width=half)", "'width=half', which is not a literal"),
        ("mobilenet_v2(width=1/2)", "'width=1 / 2', which is not a literal"),
        ("mobilenet_v2(width=open('x'))", "not a literal"),
        ("mobilenet_v2(width=__import__('os').system('true'))", "not a literal"),
        ("mobilenet_v2(a={[]: 1})", "not a literal"),
        ("mobilenet_v2(a=\0)", "cannot read the arguments"),
    ],
)
def test_anything_but_keywords_and_literals_is_refused_in_one_line(text, expected):
    with pytest.raises(RequestError, match=expected.replace("**", r"\*\*")) as caught:
        parse_model(text)

    assert "\n" not in str(caught.value)


def test_arguments_nested_without_end_are_refused_not_a_crash():
    with pytest.raises(RequestError, match=r"cannot read the arguments|not a literal"):
        parse_model("mobilenet_v2(a=" + "[" * 5000 + "]" * 5000 + ")")


@pytest.mark.parametrize("name", zoo.names())
def test_a_zoo_name_brings_its_preprocessing_and_input_shape(name):
    built = build_model(parse_model(name))

    assert built.name == name
    assert not built.module.training
    assert built.preprocess == zoo.ZOO[name].preprocess
    assert built.input_shape == zoo.ZOO[name].input_shape


def test_the_preprocessing_is_that_of_the_published_weights():
    assert zoo.ZOO["mobilenet_v2"].preprocess == Preprocess(
        resize=256, crop=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    tensorflow = zoo.ZOO["mobilenet_v2_tf"].preprocess
    assert (tensorflow.resize, tensorflow.crop) == (256, 224)
    for byte in (0, 1, 127, 255):  # (RGB / 255 - 0.5) / 0.5 is RGB / 127.5 - 1
        ours = (byte / 255 - tensorflow.mean[0]) / tensorflow.std[0]
        assert ours == pytest.approx(byte / 127.5 - 1, abs=1e-12)
    cifar = zoo.ZOO["resnet20_cifar10"]
    assert (cifar.preprocess.resize, cifar.preprocess.crop) == (None, None)
    assert cifar.input_shape == (1, 3, 32, 32)


def test_small_input_changes_the_input_shape_and_leaves_the_image_uncropped():
    built = build_model(parse_model("mobilenet_v2(width=0.25, num_classes=10, small_input=True)"))

    assert built.input_shape == (1, 3, 32, 32)
    assert built.preprocess == Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    assert built.module(torch.zeros(built.input_shape)).shape == (1, 10)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    request = parse_model("mobilenet_v1(width=0.25)")

    first, again, other = (build_model(request, seed=s).module.state_dict() for s in (1, 1, 2))

    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_building_leaves_the_callers_random_state_alone(factories):
    torch.manual_seed(5)
    expected = torch.rand(3)

    torch.manual_seed(5)
    build_model(parse_model("mobilenet_v1(width=0.25)"), seed=9)
    build_model(parse_model(f"{factories}:network"), seed=9)

    assert torch.equal(torch.rand(3), expected)


def test_an_unknown_name_is_answered_with_the_nearest_ones():
    with pytest.raises(UnknownName, match="unknown model 'mobilnet_v2': did you mean mobilenet_v2"):
        build_model(parse_model("mobilnet_v2"))


def test_a_dotted_name_without_a_colon_is_answered_with_the_colon():
    with pytest.raises(UnknownName, match=r"did you mean my\.networks:small"):
        build_model(parse_model("my.networks.small"))


def test_a_wrong_keyword_is_answered_with_the_accepted_ones():
    message = refusal("mobilenet_v1(widht=0.5)")

    assert "unexpected keyword argument 'widht'" in message
    assert message.endswith("mobilenet_v1 takes width, num_classes, small_input")


def test_a_factory_of_the_current_directory_is_imported_and_called(factories):
    path_before = list(sys.path)

    built = build_model(parse_model(f"{factories}:network(width=5, bias=False)"))

    assert isinstance(built.module, nn.Sequential)
    assert built.module[0].weight.shape == (5, 3)
    assert built.module[0].bias is None
    assert not built.module.training
    assert (built.preprocess, built.input_shape) == (None, None)
    assert built.name == f"{factories}:network"
    assert sys.path == path_before


def test_a_factory_may_sit_in_a_class_or_import_its_neighbour_late(factories):
    assert isinstance(build_model(parse_model(f"{factories}:Holder.network")).module, nn.Linear)
    assert isinstance(build_model(parse_model(f"{factories}:lazy")).module, nn.Linear)


def test_a_class_of_an_installed_package_is_a_factory():
    built = build_model(parse_model("torch.nn:Linear(in_features=2, out_features=3)"))

    assert built.module(torch.zeros(1, 2)).shape == (1, 3)


def test_a_module_that_is_not_there_is_named(factories):
    assert refusal("no_such_package:f").startswith("no module 'no_such_package'")
    assert refusal("no_such_package.deep:f").startswith("no module 'no_such_package.deep'")
    assert refusal("json.no_such_module:f").startswith("no module 'json.no_such_module'")


def test_a_module_that_fails_to_import_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "needs_more.py").write_text("import not_installed_here\n")
    (tmp_path / "has_a_typo.py").write_text("def f(:\n")

    assert "importing 'needs_more' failed" in refusal("needs_more:f")
    assert "not_installed_here" in refusal("needs_more:f")
    assert "importing 'has_a_typo' failed: SyntaxError" in refusal("has_a_typo:f")


def test_a_factory_that_is_not_there_is_answered_with_the_nearest(factories):
    message = refusal(f"{factories}:Hodler")

    assert message == f"module '{factories}' has no factory 'Hodler'; did you mean Holder?"


@pytest.mark.parametrize("name", ["a:", ":f", "a:b:c", "a b:f", "a/b.py:f", "..a:f"])
def test_a_name_that_cannot_be_imported_is_refused_before_any_import(name):
    assert refusal(name) == f"cannot read the model {name!r}: write package.module:factory"


def test_what_is_no_factory_or_gives_no_network_is_refused(factories):
    assert "is a Linear, not a factory" in refusal(f"{factories}:NETWORK")
    assert "is a int, not a factory" in refusal(f"{factories}:NUMBER")
    assert "gave a list, not an nn.Module" in refusal(f"{factories}:not_a_network")
    assert refusal(f"{factories}:broken").endswith("failed: ValueError: no such file")
    assert refusal(f"{factories}:network(depth=1)").endswith("takes width, bias")


@pytest.mark.parametrize(
    "inside",
    [
        "-" * 900 + "1",
        "-" * 5000 + "1",
        "[" * 150 + "-" * 900 + "1" + "]" * 150,
        "1" + "+1" * 2000,
        "x." * 2000 + "y",
        "9" * 6000,
    ],
)
@pytest.mark.parametrize("keyword", ["width=", ""])
def test_arguments_deeper_or_longer_than_python_follows_are_refused(keyword, inside):
    assert refusal(f"mobilenet_v1({keyword}{inside})")


@pytest.mark.parametrize("value", ["{}", "[1, ({},)]", "{{1: {}}}", "-{}"])
def test_a_number_too_long_for_any_message_is_refused(value):
    text = f"mobilenet_v1(width={value.format('0x' + 'f' * 5000)})"

    assert "'width' with a number too long to show" in refusal(text)


def test_a_model_of_endless_length_is_refused():
    assert "20012 letters" in refusal(f"mobilenet_v1({'x' * 19_998})"[:20_012])
