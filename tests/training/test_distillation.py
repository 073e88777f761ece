"""EIGEN's mimicry loss by hand, and the teacher."""

import math

import pytest
import torch
from torch import nn

from nasbench_evo.errors import InputError
from nasbench_evo.training import Ensemble, Recipe, distillation_loss
from nasbench_evo.training.distillation import training_loss

pytestmark = pytest.mark.torch


def test_equation_3_by_hand():
    # T = 5: s/T = (ln 3, 0) gives (3/4, 1/4); t/T = (0, ln 4) gives the target (1/5, 4/5).
    s = torch.tensor([[5 * math.log(3), 0.0]], dtype=torch.float64)
    t = torch.tensor([[0.0, 5 * math.log(4)]], dtype=torch.float64)
    hard = math.log(1 + 3**-5)  # -ln of 3^5 / (3^5 + 1), the label is class 0
    soft = -(0.2 * math.log(0.75) + 0.8 * math.log(0.25))
    expected = 0.1 * hard + 0.9 * 25 * soft
    found = distillation_loss(s, torch.tensor([0]), t)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    swapped = -(0.75 * math.log(0.2) + 0.25 * math.log(0.8))  # the printed argument order
    assert found.item() != pytest.approx(0.1 * hard + 0.9 * 25 * swapped, rel=0.01)


def test_it_is_least_where_the_student_equals_the_teacher():
    t = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    s = t.clone().requires_grad_()
    distillation_loss(s, torch.tensor([1]), t, alpha=1.0).backward()
    assert s.grad.abs().max() < 1e-12


def test_alpha_0_is_plain_cross_entropy():
    s, t, y = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    for smoothing in (0.0, 0.1):
        expected = nn.functional.cross_entropy(s, y, label_smoothing=smoothing)
        found = distillation_loss(s, y, t, alpha=0.0, label_smoothing=smoothing)
        assert torch.equal(found, expected)


class Fixed(nn.Module):
    def __init__(self, logits, auxiliary=None):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.auxiliary = auxiliary

    def forward(self, x):
        logits = self.logits.expand(len(x), -1)
        return logits if self.auxiliary is None else (logits, self.auxiliary)


def test_the_teacher_is_the_mean_of_logits_in_eval_mode():
    teacher = Ensemble([Fixed([1.0, 3.0]), Fixed([3.0, -1.0], auxiliary=torch.zeros(1, 2))])
    teacher.train()
    assert not any(module.training for module in teacher.modules())
    found = teacher(torch.zeros(2, 1, 1, 1))
    assert found.tolist() == [[2.0, 1.0]] * 2
    assert not found.requires_grad
    with pytest.raises(InputError):
        Ensemble([])


def test_auxiliary_output_by_hand():
    recipe = Recipe("x", 1, auxiliary_weight=0.4)
    even, sure = torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]])
    found = training_loss((even, sure), torch.tensor([0]), recipe)
    assert found.item() == pytest.approx(math.log(2) + 0.4 * math.log(4 / 3), rel=1e-6)
    with pytest.raises(InputError, match="auxiliary"):
        training_loss(even, torch.tensor([0]), recipe)
