"""For each class the sentences that suit it best, chosen without labels (Benigmim et al., FLOSS, 2025)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import TextConfig
from clip2scene_ros.teacher.text import ClassVectors, WordRows, class_vectors

SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class ExpertVectors(ClassVectors):
    """Class vectors with an expert for each class; takes the place of plain ones.

    Attributes:
        experts: one a column: vectors of all classes, from the templates that suit that class.
        templates: which those are.
    """

    experts: tuple[ClassVectors, ...] = ()
    templates: tuple[tuple[int, ...], ...] = ()

    def scores(self, features: Tensor) -> Tensor:
        """Return (..., K) log probabilities over the scale.

        A feature belongs to the expert who claims it for his own class; of several the surest; where none does, all
        templates together decide.
        """
        chosen = (self.scale * super().scores(features)).softmax(-1)
        surest = torch.full(chosen.shape[:-1], -1.0, device=features.device)
        for column, expert in enumerate(self.experts):
            opinion = (self.scale * expert.scores(features)).softmax(-1)
            own = opinion[..., column]
            better = (opinion.argmax(-1) == column) & (own > surest)
            chosen, surest = torch.where(better[..., None], opinion, chosen), torch.where(better, own, surest)
        return chosen.clamp_min(SMALLEST).log() / self.scale


@torch.inference_mode()
def choose_experts(words: WordRows, class_set: ClassSet, features: Tensor, config: TextConfig) -> ExpertVectors:
    """Keep, for each class, the `config.experts` templates that are least undecided where they see it.

    Each template alone labels the features; its entropy for a class is the mean over the features that it gives to that
    class. A template that never does is no candidate, and a class that no template ever sees keeps all of them.

    Args:
        words: with their rows by template.
        class_set: names, words and absorbers.
        features: (P, D) of length 1, of images without labels.
        config: `experts` templates are kept; combination and scale.
    """
    plain = class_vectors(words, class_set, config)
    columns = max(plain.owner) + 1
    entropy = torch.full((len(words.rows), columns), torch.inf)
    for template in range(len(words.rows)):
        alone = class_vectors(words, class_set, config, [template])
        probabilities = (config.scale * alone.scores(features)).softmax(-1)
        nats, winner = torch.special.entr(probabilities).sum(-1), probabilities.argmax(-1)
        for column in sorted(set(winner.flatten().tolist())):
            entropy[template, column] = nats[winner == column].mean()
    kept = tuple(_kept(entropy[:, column], config.experts) for column in range(columns))
    experts = tuple(class_vectors(words, class_set, config, templates) for templates in kept)
    return ExpertVectors(class_set, plain.rows, plain.owner, plain.combine, plain.scale, experts, kept)


def _kept(entropy: Tensor, count: int) -> tuple[int, ...]:
    """Return the templates of lowest entropy, all where none has any."""
    order = [i for i in entropy.argsort(stable=True).tolist() if torch.isfinite(entropy[i])]
    return tuple(order[:count]) or tuple(range(len(entropy)))
