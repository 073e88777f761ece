"""Training: data sets, augmentation, recipes, the trainer, joint training of many networks."""

from nasbench_evo.training.data.augmentation import Augmentation
from nasbench_evo.training.data.datasets import Dataset, load_dataset
from nasbench_evo.training.data.sources import SOURCES
from nasbench_evo.training.distillation import Ensemble, distillation_loss
from nasbench_evo.training.execution import Execution
from nasbench_evo.training.joint import JointTraining
from nasbench_evo.training.measure import evaluate
from nasbench_evo.training.recipes import RECIPES, Recipe, recipe
from nasbench_evo.training.results import CurvePoint, TrainingResult
from nasbench_evo.training.seeding import weights_generator
from nasbench_evo.training.trainer import Training

__all__ = [
    "RECIPES",
    "SOURCES",
    "Augmentation",
    "CurvePoint",
    "Dataset",
    "Ensemble",
    "Execution",
    "JointTraining",
    "Recipe",
    "Training",
    "TrainingResult",
    "distillation_loss",
    "evaluate",
    "load_dataset",
    "recipe",
    "weights_generator",
]
