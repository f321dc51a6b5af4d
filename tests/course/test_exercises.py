"""`limner.exercises.check` on answers of every kind."""

import limner
import numpy as np
import pytest
import torch
from limner.course.exercises import check

RIGHT = {
    "a number": (0.5, 0.5),
    "rounded": (0.3333, 1 / 3),
    "a number from a tensor": (torch.tensor([0.25]), 0.25),
    "for a tensor": (0.25, torch.tensor(0.25, requires_grad=True)),
    "a float of numpy": (np.float64(0.3), np.float32(0.3)),
    "an integer of numpy": (2, np.int64(2)),
    "zero": (0.0005, 0.0),
    "tensors": (torch.ones(2, 3), torch.full((2, 3), 1.0001)),
    "a list for a tensor": ([1, 2], torch.tensor([1.0, 2.0])),
    "lists": ([1, "two", [3.0]], [1, "Two", (3,)]),
    "a tensor for a list": (torch.tensor([1.0, 2.0]), [1.0, 2.0]),
    "a word": (" More ", "more"),
    "a boolean": (True, True),
    "sets": ({1, 2}, {2, 1}),
    "a class": (dict, dict),
    "a predicate": (3, lambda number: number > 2),
    "a function, by a predicate": (lambda x: 2 * x, lambda double: double(4) == 8),
}

WRONG = {
    "large": (1.6, 0.5, "Not yet: 1.6 is too large. Hint: think."),
    "small": (-1, 0.5, "Not yet: -1 is too small. Hint: think."),
    "nearly right": (335, 336, "335 is too small"),
    "not a number": (float("nan"), 0.5, "nan is too small"),
    "infinite": (float("inf"), 0.5, "inf is too large"),
    "a word for a number": ("half", 0.5, "expected a number, got 'half'"),
    "None for a number": (None, 0.5, "expected a number, got None"),
    "a tensor for a number": (torch.ones(2), 0.5, "expected the shape [], got [2]"),
    "shape": (torch.ones(3, 2), torch.ones(2, 3), "expected the shape [2, 3], got [3, 2]"),
    "values": (torch.tensor([1.0, 2.0, 3.5]), torch.tensor([1.0, 2.0, 3.0]), "1 of 3 numbers are off, by up to 0.5"),
    "length": ([1], [1, 2], "expected 2 answers, got 1"),
    "not a list": (1, [1, 2], "expected 2 answers in a list, got 1"),
    "one item of a list": ([1, 5], [1, 2], "answer 2: 5 is too large"),
    "a word": ("less", "more", "'less' is not right"),
    "a boolean": (False, True, "False is not right"),
    "a set": ({1}, {1, 2}, "{1} is not right"),
    "a predicate": (1, lambda number: number > 2, "1 is not what was asked for"),
    "a class": (dict, list, "dict is not right"),
    "a tensor for a word": (torch.ones(1, 2), "more", "a tensor of shape [1, 2] is not right"),
    "a predicate that fails": ("a", lambda text: text > 2, "checking 'a' raised TypeError: '>' not supported"),
    "a comparison that fails": (torch.ones(2), {1}, "Not yet"),
}

MISSING = [..., [...], (1, ...), {..., 2}, [[1, ...]], {"a": 1, "b": ...}]


@pytest.mark.parametrize(("answer", "expected"), RIGHT.values(), ids=RIGHT)
def test_a_right_answer(answer, expected):
    verdict = check(answer, expected, "think.")
    assert (verdict.solved, repr(verdict)) == (True, "Right!")


@pytest.mark.parametrize(("answer", "expected", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_explained(answer, expected, words):
    verdict = check(answer, expected, "think.")
    assert verdict.solved is False
    assert words in verdict.sentence
    assert verdict.sentence.startswith("Not yet: ")
    assert verdict.sentence.endswith(". Hint: think.")


@pytest.mark.parametrize("answer", MISSING, ids=str)
def test_a_missing_answer(answer):
    verdict = check(answer, lambda _: 1 / 0, "think.")
    assert verdict.solved is None
    assert repr(verdict) == "Your turn: put your answer in place of `...` and run this cell again. Hint: think."


def test_tolerance_is_relative_to_the_largest_number():
    assert check(1010.0, 1000.0, "", tolerance=0.02).solved
    assert not check(1010.0, 1000.0, "").solved
    assert not check(0.0011, 0.001, "").solved
    assert check(torch.tensor([0.001, 10.0]), torch.tensor([0.0, 10.0]), "").solved


def test_limner_exercises_is_imported_on_first_use():
    assert limner.exercises.check is check
    assert "exercises" in dir(limner)
