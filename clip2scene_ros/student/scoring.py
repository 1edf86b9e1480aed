"""Classes as data: from class sets to class vectors, and from scores to a decision."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.classes import OUTDOOR_ABSORBERS, ClassSet
from clip2scene_ros.errors import BadClassSet
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.student.checkpoint import LEARNED_WITH_LABELS, CheckpointCard
from clip2scene_ros.words import claims, listed, owners, spelling

Encode = Callable[[Sequence[str], CheckpointCard], Mapping[str, Tensor]]
"""Gives the (D,) vectors of words, those that it can, by the text tower that taught a checkpoint's features."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ClassRows:
    """What features are compared with: one row or several a class.

    Attributes:
        class_set: C classes.
        rows: (W, D) float32; those of a class lie together, in the order of the classes, absorbers last.
        sizes: number of rows of each class, and of the absorbers where there are any: C or C + 1 numbers.
    """

    class_set: ClassSet
    rows: Tensor
    sizes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Scorer:
    """Class rows, ready to score with on their device; never changed, only exchanged.

    Attributes:
        class_set: C classes.
        weights: (D, W) float32.
        sizes: as those of `ClassRows`.
    """

    class_set: ClassSet
    weights: Tensor
    sizes: tuple[int, ...]

    def scores(self, features: Tensor) -> Tensor:
        """Return (V, K) float32: the best row's score of each class, and of the absorbers where there are any.

        Args:
            features: (V, D) float32 on the scorer's device.
        """
        scores = features @ self.weights
        if scores.shape[1] == len(self.sizes):
            return scores
        return torch.stack([each.amax(1) for each in scores.split_with_sizes(self.sizes, 1)], 1)


def scorer(rows: ClassRows, card: CheckpointCard, device: torch.device) -> Scorer:
    """Bring class rows to the length and scale that a checkpoint asks for, on a device.

    Raises:
        BadClassSet: `vectors`: too few rows; `embedding_size`: the rows are of another size than the features.
    """
    classes, found = len(rows.class_set), tuple(rows.rows.shape)
    if len(rows.sizes) not in (classes, classes + 1) or min(rows.sizes) < 1 or sum(rows.sizes) != found[0]:
        raise BadClassSet("vectors", f"Expected class vectors for {classes} classes, but got {found[0]} rows.")
    if len(found) != 2 or found[1] != card.network.embedding_dim:
        raise BadClassSet(
            "embedding_size",
            f"The checkpoint's features have {card.network.embedding_dim} numbers ({card.text_model}), but the vectors "
            f"of class set `{rows.class_set.name}` are of shape {found}.",
        )
    vectors = functional.normalize(rows.rows.float(), dim=1) if card.normalize else rows.rows.float()
    return Scorer(rows.class_set, (vectors.T / card.temperature).contiguous().to(device), rows.sizes)


def rows_of(class_set: ClassSet, card: CheckpointCard, encode: Encode | None = None) -> ClassRows:
    """Return what a checkpoint's features are compared with to tell the classes of `class_set` apart.

    Args:
        class_set: classes in whatever words.
        card: of the checkpoint.
        encode: the text tower, asked for words whose vectors the checkpoint does not carry.

    Raises:
        BadClassSet: words that the checkpoint has no vectors for, or that two classes share.
        Clip2SceneError: what `encode` raises.
    """
    if card.text_model == LEARNED_WITH_LABELS:
        return _learned_rows(class_set, card)
    own = {(c.name, c.prompts): class_id for class_id, c in enumerate(card.class_set.classes)}
    places = [own.get((c.name, c.prompts)) for c in class_set.classes]
    if None not in places and class_set.absorbers == card.class_set.absorbers:
        return ClassRows(class_set, card.class_vectors[places], (1,) * len(class_set))
    return _word_rows(class_set, card, encode)


def _learned_rows(class_set: ClassSet, card: CheckpointCard) -> ClassRows:
    """Find the words among the classes that the student learned; a class may have several of them.

    Where `class_set` has absorbers, it does not name all there is: learned classes that it does not name absorb.
    """
    names, known = class_set.names, card.class_set
    owners(class_set)
    claimed = claims(class_set, known)
    rivals = [
        f"{' and '.join(f'`{names[i]}`' for i in who)} both mean its `{name}`"
        for who, name in zip(claimed, known.names, strict=True)
        if len(who) > 1
    ]
    if rivals:
        raise BadClassSet(
            "ambiguous",
            f"The checkpoint learned with labels and cannot tell these classes apart: {'; '.join(rivals)}. Make one "
            "class of them, with `,` instead of `;`, or leave one out.",
        )
    places = [[k for k, who in enumerate(claimed) if who == (c,)] for c in range(len(class_set))]
    missing = [name for name, found in zip(names, places, strict=True) if not found]
    if missing:
        raise BadClassSet(
            "no_vectors",
            f"The checkpoint has no vectors for {listed(missing)}: class set `{class_set.name}` asks for "
            f"{listed(names)}; text model of the checkpoint: {card.text_model}, so that it knows no other words than "
            f"those of its classes: {_known_words(known)}. Choose of these, or another checkpoint.",
        )
    rest = [k for k, who in enumerate(claimed) if not who] if class_set.absorbers else []
    if rest:
        log.info("Not asked for, so unknown: %s.", ", ".join(known.names[k] for k in rest))
    groups = [*places, rest] if rest else places
    return ClassRows(class_set, card.class_vectors[[k for group in groups for k in group]], tuple(map(len, groups)))


def _known_words(known: ClassSet) -> str:
    """Return `car (sedan, van), tree`."""
    others = [[word for word in c.prompts if word != c.name] for c in known.classes]
    return listed(
        f"{c.name} ({', '.join(words)})" if words else c.name for c, words in zip(known.classes, others, strict=True)
    )


def _word_rows(class_set: ClassSet, card: CheckpointCard, encode: Encode | None) -> ClassRows:
    """Look words up among those that the checkpoint carries; the text tower is asked for the others."""
    owner, carried = owners(class_set), () if card.word_rows is None else card.word_rows
    table = dict(zip(map(spelling, card.words), carried, strict=True))
    unknown = tuple(word for word in owner if word not in table)
    if unknown and encode is not None:
        table |= encode(unknown, card)
    groups = [[table[word] for word, c in owner.items() if c == column and word in table]
              for column in range(len(class_set) + 1)]  # fmt: skip
    missing = [name for name, group in zip(class_set.names, groups, strict=False) if not group]
    if missing:
        raise BadClassSet(
            "no_vectors",
            f"The checkpoint has no vectors for {listed(missing)}: class set `{class_set.name}` asks for "
            f"{listed(owner)}; the checkpoint carries {listed(card.words) or 'no words'}, by text model "
            f"{card.text_model}. For other words set `text` to that text model.",
        )
    # Sky and the like come with every list of words; that a LiDAR's student lacks them is worth no line.
    left_out = [word for word in owner if word not in table and word not in OUTDOOR_ABSORBERS]
    if left_out:
        log.warning("The checkpoint has no vectors for these words, they are left out: %s.", listed(left_out))
    groups = groups if groups[-1] else groups[:-1]
    return ClassRows(class_set, torch.stack([row for group in groups for row in group]), tuple(map(len, groups)))


def decide(scores: Tensor, min_probability: float, classes: int | None = None) -> tuple[Array, Array, Array]:
    """Turn scores into class, probability and entropy; ties go to the lower class.

    Args:
        scores: (V, K) float32 logits on the CPU, K >= 1.
        min_probability: less probable rows come out unknown, as do rows that are not finite.
        classes: C; columns from there on absorb: they take their share of the probability, and where one wins, the
            row comes out unknown. None means K.

    Returns:
        (V,) uint8 class id; (V,) float32 probability; (V,) float32 Shannon entropy of the C classes among
        themselves over ln C, in [0, 1], and 0 where C is 1. Unknown rows hold 255, 0 and 1.
    """
    classes = scores.shape[1] if classes is None else classes
    probabilities = scores.softmax(1)
    probability, class_id = probabilities.max(1)
    among = probabilities if classes == scores.shape[1] else scores[:, :classes].softmax(1)
    nats = torch.special.entr(among).sum(1)
    entropy = (nats / math.log(classes)).clamp_(0, 1) if classes > 1 else torch.zeros_like(nats)
    unsure = ~(probability >= min_probability) | (class_id >= classes)  # written so that NaN counts as unsure
    return (
        class_id.to(torch.uint8).masked_fill_(unsure, UNKNOWN).numpy(),
        probability.masked_fill_(unsure, 0.0).numpy(),
        entropy.masked_fill_(unsure, 1.0).numpy(),
    )
