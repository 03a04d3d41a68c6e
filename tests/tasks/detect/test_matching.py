"""Boxes that two networks find: one to one, the nearest first, and fair to those at the score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tasks.detect.scenes import detections, scenes

from intaglio.tasks.detect.matching import matched

A, B = (0, 0, 10, 10), (20, 0, 30, 10)
NEAR, NEARER = (0, 0, 10, 8), (0, 0, 10, 9)


def test_the_same_boxes_are_found_by_both():
    boxes = detections((A, 0.9, 0), (B, 0.5, 1))

    match = matched(boxes, boxes)

    assert match.both.tolist() == [[0, 0], [1, 1]]
    assert (match.share, match.union) == (1.0, 2)


def test_the_share_is_of_the_boxes_of_either():
    match = matched(detections((A, 0.9, 0)), detections((NEAR, 0.9, 0), (B, 0.8, 0)))

    assert match.only_found.tolist() == [1]
    assert match.share == 0.5


def test_where_neither_finds_a_box_they_agree():
    assert matched(detections(), detections()).share == 1.0
    assert matched(detections((A, 0.1, 0)), detections()).share == 1.0


@pytest.mark.parametrize("other", [(A, 0.9, 1), ((0, 0, 10, 4.9), 0.9, 0), (B, 0.9, 0)])
def test_another_class_or_too_little_overlap_is_no_match(other):
    match = matched(detections((A, 0.9, 0)), detections(other))

    assert (len(match.both), match.union, match.share) == (0, 2, 0.0)


def test_a_box_is_matched_once_and_with_the_nearest():
    match = matched(detections((A, 0.9, 0)), detections((NEAR, 0.9, 0), (NEARER, 0.8, 0)))

    assert match.both.tolist() == [[0, 1]]
    assert match.only_found.tolist() == [0]


@pytest.mark.parametrize(("score", "share"), [(0.24, 1.0), (0.13, 1.0), (0.12, 0.0)])
def test_a_box_just_below_the_score_in_one_network_is_not_lost(score, share):
    sure, unsure = detections((A, 0.26, 0)), detections((A, score, 0))

    assert matched(sure, unsure, score=0.25).share == share
    assert matched(unsure, sure, score=0.25).share == share


def test_a_box_that_neither_is_sure_of_is_nobodys():
    match = matched(detections((A, 0.2, 0), (B, 0.9, 0)), detections((A, 0.2, 0), (B, 0.9, 0)))

    assert match.union == 1


def test_a_sure_box_is_not_taken_from_a_sure_one_by_an_unsure_one():
    # the unsure box lies nearer; with it, the sure one would be called made up
    match = matched(detections((A, 0.9, 0)), detections((NEAR, 0.9, 0), (NEARER, 0.2, 0)))

    assert (match.both.tolist(), match.share) == ([[0, 0]], 1.0)


def plain_share(real, found, overlap, score):
    """Greedy matching, pair by pair, from the description."""
    pairs = []
    for i in range(len(real)):
        for j in range(len(found)):
            a, b = real.boxes[i].astype(float), found.boxes[j].astype(float)
            low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
            inside = np.prod(np.maximum(high - low, 0.0))
            union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inside
            scores = sorted((real.scores[i], found.scores[j]))
            if real.classes[i] != found.classes[j] or inside / union < overlap:
                continue
            if scores[1] >= score and scores[0] >= score / 2:
                pairs.append((scores[0] < score, -inside / union, i, j))
    firsts, seconds = set(), set()
    for _, _, i, j in sorted(pairs):
        if i not in firsts and j not in seconds:
            firsts.add(i)
            seconds.add(j)
    only = sum(s >= score and i not in firsts for i, s in enumerate(real.scores))
    only += sum(s >= score and j not in seconds for j, s in enumerate(found.scores))
    union = len(firsts) + only
    return len(firsts) / union if union else 1.0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), score=st.floats(0.05, 0.9))
def test_it_is_what_a_plain_loop_finds_and_the_same_from_either_side(seed, score):
    (real, found), _ = scenes(2, 2, seed, objects=12)
    generator = np.random.default_rng(seed)
    moved = real.boxes + generator.normal(0, 6, real.boxes.shape).astype(np.float32)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    near = replace(real, boxes=moved, scores=real.scores[::-1].copy())
    rows = zip(near.boxes, near.scores.tolist(), near.classes.tolist(), strict=True)

    for other in (found, detections(*rows)):
        match, back = matched(real, other, score=score), matched(other, real, score=score)

        assert match.share == pytest.approx(plain_share(real, other, 0.5, score))
        assert back.only_real.tolist() == match.only_found.tolist()
        assert sorted(back.both[:, ::-1].tolist()) == sorted(match.both.tolist())
