"""A picture with the maps of two segmenters over it, made for tests."""

from __future__ import annotations

import numpy as np
import torch

from intaglio.data.mask import IGNORED, Mask
from intaglio.data.truth import Placement
from intaglio.tasks.segment.scenes import pictures_section
from intaglio.tasks.segment.worst import WorstMaps
from report.test_report_page import NASTY

NAMES = ("background", "cat", NASTY)
SIZE = 40, 60


def scenery():
    """Return maps [40, 60]: truth, float, integer. The integer network loses half of the cat."""
    truth = np.zeros(SIZE, np.uint8)
    truth[5:35, 5:25] = 1
    truth[10:20, 40:50] = 2
    truth[:, 58:] = IGNORED
    real = np.where(truth == IGNORED, 0, truth)
    real[30:35, 40:50] = 2  # nothing is there
    found = real.copy()
    found[20:35, 5:25] = 0  # wrong: half of the cat
    found[30:35, 40:50] = 0  # right
    found[0:2, 58:] = 1  # nobody can say
    return truth, real, found


def worst_of(*, extra=None, names=NAMES, labelled=True):
    """Return the section of that picture alone."""
    truth, real, found = scenery()
    worst = WorstMaps()
    given_truth = truth if labelled else np.full_like(truth, IGNORED)
    worst.add(torch.full((3, *SIZE), 0.5), real, found, Mask(given_truth, Placement()), extra=extra)
    return pictures_section(worst, names, {"mean": None})
