"""report.json: stable keys, absent figures, no infinity."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import IntaglioError, RequestError
from intaglio.report import DataSource, FloatSide, IntegerSide, LayerRow, Report, StepRow, Verdict
from intaglio.report.figures import PLAIN
from intaglio.report.parts import Attempt
from mutants import mutants


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_report_read_back_from_json_says_the_same(report):
    again = Report.from_dict(strict(report.to_json()), report.wording)

    assert again.to_dict() == report.to_dict()
    assert str(again) == str(report)
    assert type(again) is Report


def test_report_json_has_the_documented_keys(report):
    plain = report.to_dict()

    assert set(plain) >= {
        *("intaglio", "model", "target", "runtime", "scheme", "data", "float", "integer"),
        *("check", "steps", "layers", "kept_float", "warnings"),
    }
    assert set(plain["float"]) == {"top1", "top5", "n", "size_bytes", "macs", "params"}
    assert set(plain["integer"]) == {
        *("top1", "top5", "n", "size_bytes", "agreement", "logits_sqnr_db"),
    }
    assert set(plain["check"]) >= {"images", "values_compared", "mismatches", "runtime"}
    assert set(plain["layers"][0]) >= {
        *("name", "op", "weight_bits", "activation_bits", "sqnr_db", "macs"),
    }
    assert plain["data"] == {"source": "calib.csv", "images": 13, "seed": 0, "skipped": 2}


def test_percents_keep_two_decimals(report):
    plain = report.to_dict()

    assert plain["float"]["top1"] == 80.31
    assert plain["integer"]["agreement"] == 93.12
    assert plain["steps"][0]["seconds"] == 0.213


def test_figures_that_were_not_measured_have_no_key(report):
    bare = replace(
        report, data="none", check=None, float=FloatSide(10, 20, 30), integer=IntegerSide(5)
    )

    plain = bare.to_dict()

    assert plain["data"] == "none"
    assert "check" not in plain
    assert plain["float"] == {"size_bytes": 10, "macs": 20, "params": 30}
    assert plain["integer"] == {"size_bytes": 5}
    assert "peak_mb" not in plain["steps"][1]
    assert Report.from_dict(plain) == Report.from_dict(Report.from_dict(plain).to_dict())
    assert "Top-1" not in str(bare)


def test_an_accuracy_without_images_is_refused():
    with pytest.raises(IntaglioError, match=r"float\.top1 is given but float\.n is None"):
        FloatSide(10, 20, 30, figures={"top1": 80.0})
    with pytest.raises(IntaglioError, match=r"integer\.agreement"):
        IntegerSide(10, agreement=80.0)


def row(**figures):
    return LayerRow("conv", "conv2d", "", [-1, 8, 4, 4], 8, 8, 100, 10, **figures)


def test_a_layer_without_noise_is_null_and_one_not_measured_has_no_key(report):
    layers = [row(sqnr_db=math.inf), row(), row(sqnr_db=31.236)]

    plain = strict(replace(report, layers=layers).to_json())
    found = Report.from_dict(plain).layers

    assert plain["layers"][0]["sqnr_db"] is None
    assert "sqnr_db" not in plain["layers"][1]
    assert plain["layers"][2]["sqnr_db"] == 31.24
    assert [layer.sqnr_db for layer in found] == [math.inf, None, 31.24]


def test_an_output_without_noise_is_null_by_itself_and_in_the_list_of_all(report):
    integer = IntegerSide(5, logits_sqnr_db=math.inf, sqnr_db=[math.inf, 31.236])

    plain = strict(replace(report, integer=integer).to_json())

    assert plain["integer"]["logits_sqnr_db"] is None
    assert plain["integer"]["sqnr_db"] == [None, 31.24]
    integer = replace(integer, sqnr_db=[math.inf, 31.24])
    assert Report.from_dict(plain).integer == integer


def test_a_verdict_and_what_images_were_for_are_written_and_read_back(report):
    told = replace(
        report,
        verdict=Verdict("equal", "amber", "1.2 points lost on 90 images, wished at most 1"),
        data=DataSource("calib.csv", 100, 0, judged=90, left_out=1200),
        attempts=[Attempt("plain", 1.0, True, 90, size_bytes=4000)],
    )

    plain = strict(told.to_json())

    assert plain["verdict"] == {
        "bits": "equal",
        "accuracy": "amber",
        "why": "1.2 points lost on 90 images, wished at most 1",
    }
    again = Report.from_dict(plain, report.wording)
    assert again.verdict == told.verdict
    assert (again.data, again.attempts) == (told.data, told.attempts)


def test_a_verdict_in_other_words_is_refused(report):
    plain = report.to_dict() | {"verdict": {"bits": "equal", "accuracy": "blue", "why": ""}}

    with pytest.raises(RequestError, match=r"verdict\.accuracy: .*got 'blue'"):
        Report.from_dict(plain)


def test_float_layers_say_null_bits(report):
    plain = replace(report, layers=[replace(row(), activation_bits=None)]).to_dict()

    assert plain["layers"][0]["activation_bits"] is None


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_nan_and_minus_infinity_are_refused_with_their_place(report, value):
    broken = replace(report, layers=[row(), row(sqnr_db=value)])

    with pytest.raises(IntaglioError, match=r"report\.layers\[1\]\.sqnr_db is"):
        broken.to_dict()


def test_a_value_that_json_lacks_is_refused_with_its_place(report):
    broken = replace(report, steps=[StepRow("fold", 1.0, changed={"count": np.int64(3)})])

    with pytest.raises(IntaglioError, match=r"report\.steps\[0\]\.changed\.count is a int64"):
        broken.to_dict()


def test_unknown_keys_are_ignored(report):
    plain = report.to_dict()
    plain["energy"] = {"joule": 1}
    plain["layers"][0]["histogram"] = [1, 2]

    assert Report.from_dict(plain).to_dict() == report.to_dict()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("model",), 3, "report.json: model: "),
        (("float", "top1"), 180.0, r"float\.top1: .*less than or equal to 100"),
        (("float", "top1"), "80", r"json: float\.top1: .*a valid number, got '80'\. Was it"),
        (("integer", "top5"), True, r"integer\.top5: .*, got True"),
        (("integer", "top5"), -0.5, r"integer\.top5: .*greater than or equal to 0"),
        (("integer", "agreement"), 101, r"integer\.agreement: .*less than or equal to 100"),
        (("check", "mismatches"), "many", r"check\.mismatches: "),
        (("layers",), {}, "layers: "),
        (("layers", 0, "macs"), "100", r"layers\.0\.macs: .*, got '100'"),
        (("layers", 0, "macs"), True, r"layers\.0\.macs: .*, got True"),
        (("layers", 0, "macs"), 1.5, r"layers\.0\.macs: "),
        (("layers", 0, "shape"), "1,2", r"layers\.0\.shape: "),
        (("layers", 0), [1], r"layers\.0: .*, got a list"),
        (("steps", 0, "seconds"), "now", r"steps\.0\.seconds: "),
        (("steps", 0, "seconds"), -1.0, r"steps\.0\.seconds: .* greater than or equal to 0"),
        (("preprocess",), [], "preprocess: "),
        (("warnings",), ["a", 3], r"warnings\.1: "),
        (("kept_float",), "none", "kept_float: "),
        (("data",), "somewhere", "data"),
        (("target",), None, "target: .*, got None"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(report, path, value, message):
    plain = report.to_dict()
    inner = plain
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value

    with pytest.raises(RequestError, match=message):
        Report.from_dict(plain, report.wording)


def test_every_mutant_of_a_report_is_refused_or_can_be_shown(report):
    for plain in mutants(strict(report.to_json()), 300):
        if isinstance(plain, dict):
            with contextlib.suppress(RequestError):  # any other error fails the test
                for wording in (PLAIN, report.wording):
                    again = Report.from_dict(plain, wording)
                    assert str(again)
                    assert again.to_json()


def test_a_missing_key_is_refused_by_name(report):
    plain = report.to_dict()
    del plain["scheme"]

    with pytest.raises(RequestError, match="scheme: Field required"):
        Report.from_dict(plain)


def test_accuracy_without_n_is_refused_when_read(report):
    plain = report.to_dict()
    del plain["float"]["n"]

    with pytest.raises(RequestError, match=r"float\.n is None"):
        Report.from_dict(plain, report.wording)


@given(
    name=st.text(max_size=20),
    sqnr=st.none() | st.floats(-300, 300) | st.just(math.inf),
    seconds=st.floats(0, 1e6),
)
def test_any_name_and_figure_survives_the_way_through_json(name, sqnr, seconds):
    report = Report(
        *("0.1.0", name, "litert", "r", "w8a8", "none", {}),
        float=FloatSide(0, 0, 0),
        integer=IntegerSide(),
        steps=[StepRow(name, seconds, changed=name)],
        layers=[replace(row(sqnr_db=sqnr), name=name)],
    )

    again = Report.from_dict(strict(report.to_json()))

    assert again.to_dict() == report.to_dict()
    assert again.model == name
