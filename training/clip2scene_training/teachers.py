"""Who teaches a student, by the settings of pretraining: a labeler of images, and the words that are learned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.classes import OUTDOOR_ABSORBERS, ClassSet, load_class_set
from clip2scene_ros.config import ClipConfig, LabelerConfig, TextConfig
from clip2scene_ros.errors import BadClassSet, BadConfig, BadTeacher
from clip2scene_ros.frame import View
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.label.command import IN_BAG
from clip2scene_ros.student.checkpoint import file_sha256
from clip2scene_ros.teacher.clip import Clip, load_clip
from clip2scene_ros.teacher.external import ExternalTeacher
from clip2scene_ros.teacher.label_folder import folder_teacher
from clip2scene_ros.teacher.label_topics import LabelTopics, topic_teacher
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_ros.teacher.teachers import TINY, TINY_CLIP, ClipTeacher, PixelClasses, Teacher
from clip2scene_ros.teacher.text import words_of
from clip2scene_ros.vocabulary import carry
from clip2scene_ros.words import spelling
from clip2scene_training.datasets.shards import ShardLabels
from clip2scene_training.noisy_truth import NoisyTruth
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.second_round import StudentLabeler, StudentTeacher

NOISY = "noisy:"
WEIGHTS = ".safetensors"
NOBODY = "no point and no pixel was labelled by a person"


@dataclass(frozen=True)
class TeacherSettings:
    """Who says what is in images; picklable, so that any process can make the teacher.

    Attributes:
        source: as the setting `teacher`.
        classes: as `load_class_set` takes it; a student, and a folder of label images, have their own.
        clip: the model; where `source` names another teacher, its words alone are used.
        dense: settings of DenseConfig that replace the model's own.
        text: how words become vectors.
        bags: that hold label images, where `source` is `bag`.
    """

    source: str
    classes: str
    clip: ClipConfig
    dense: dict[str, Any]
    text: TextConfig
    bags: tuple[Path, ...] = ()

    @staticmethod
    def of(config: PretrainConfig, dense: dict[str, Any] | None = None, bags: Sequence[Path] = ()) -> TeacherSettings:
        """Take them from those of pretraining."""
        return TeacherSettings(
            config.teacher, config.classes, config.clip, dict(dense or {}), config.text, tuple(Path(b) for b in bags)
        )

    @property
    def is_clip(self) -> bool:
        """Return whether CLIP itself looks, so that there are features of pixels, not labels alone."""
        return not self.source

    @property
    def is_student(self) -> bool:
        """Return whether it is the student of a first round, which labels points and looks at no image."""
        return self.source.endswith(WEIGHTS)

    @property
    def is_noisy(self) -> bool:
        """Return whether it sees the true pixels of the world, some of them wrong; a folder may be called `noisy`."""
        return self.source.startswith(NOISY) and self.source != NOISY

    @property
    def class_set(self) -> ClassSet:
        """Return the classes that it tells apart; errors as `teacher`."""
        asked = self.is_clip or self.is_noisy
        return load_class_set(self.classes) if asked else self.teacher().class_set

    def labeler(self, config: LabelerConfig) -> Labeler:
        """Return a labeler that asks this teacher."""
        teacher = self.teacher()
        return StudentLabeler(teacher, config) if isinstance(teacher, StudentTeacher) else Labeler(teacher, config)

    def teacher(self) -> Teacher:
        """Return the teacher.

        Raises:
            BadTeacher, BadCheckpoint, BadClassSet, BadConfig: it cannot be had, or has other classes than asked for;
                the text says what to do.
        """
        if self.is_clip:
            return ClipTeacher.load(load_class_set(self.classes), self.clip, self.dense, self.text)
        if self.source == IN_BAG:
            return _of_bags(self.bags, self.classes)
        if self.is_noisy:
            return NoisyTruth(load_class_set(self.classes), _rate(self.source.removeprefix(NOISY)))
        of_its_own: Teacher = (
            StudentTeacher(Path(self.source)) if self.is_student else folder_teacher(Path(self.source), self.text)
        )
        check_classes(wished(self.classes), of_its_own.class_set, self.source)
        return of_its_own

    def name(self) -> str:
        """Return what no other teacher and no other settings of one have: digests of weights or files, settings."""
        if self.is_clip:
            what: Any = [_weights(self.clip), self.clip.precision, self.dense, asdict(replace(self.text, cache=""))]
        elif self.is_student:
            what = StudentTeacher(Path(self.source)).digest
        else:
            folder = Path(self.source)
            files = sorted(folder.rglob("*")) if folder.is_dir() else self.bags
            what = [self.source, [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def notice(self, own: str, clip: Clip) -> str:
        """Return what must be shown with all that this teacher's student says.

        Of other segmenters nobody knows here what they have learned from: nothing is claimed for them.

        Args:
            own: the teacher's own notice.
            clip: whose words are learned.
        """
        of = f"the student {Path(self.source).name}" if self.is_student else self.source
        whose = [f"the labels of {clip.card.name}", NOBODY] if self.is_clip else [f"labels of {of}"]
        return "; ".join([f"learned from {whose[0]}", *whose[1:], *([own] if own else [])])


def notice_of(shards: ShardLabels) -> str:
    """Return what must be shown with all that a student of collected labels says; as `TeacherSettings.notice`."""
    clips, vehicles = ({getattr(source, name) for source in shards.sources} for name in ("clip", "vehicle"))
    known = all(clips)
    whose = f"the labels of {', '.join(sorted(clips))}" if known else "labels of another segmenter"
    said = [f"learned from {whose} that {', '.join(sorted(vehicles))} has collected", *([NOBODY] if known else [])]
    return "; ".join([*said, *([shards.notice] if shards.notice else [])])


@dataclass(frozen=True, eq=False)
class Words:
    """What the student's features are compared with, and what it will be able to name.

    Attributes:
        vectors: (C, D) float32 of length 1, one row a class: the mean of its words.
        words: M words, each once.
        rows: (M, D) float32, theirs.
    """

    vectors: Tensor
    words: tuple[str, ...]
    rows: Tensor

    @staticmethod
    def of(class_set: ClassSet, clip: Clip, config: TextConfig) -> Words:
        """Ask a text tower for the words of a class set and for what LiDARs never meet, such as sky."""
        every = {spelling(word): word for word in (*OUTDOOR_ABSORBERS, *words_of(class_set))}
        words = tuple(every.values())
        rows = carry(words, clip, config)
        place = {word: i for i, word in enumerate(every)}
        means = [rows[[place[spelling(word)] for word in c.prompts]].mean(0) for c in class_set.classes]
        return Words(functional.normalize(torch.stack(means), dim=1), words, rows)


def check_classes(asked: str, own: ClassSet, whose: str) -> None:
    """Refuse other classes than those that labels mean.

    Args:
        asked: as `load_class_set` takes it; empty where nobody asks.
        own: what the labels mean.
        whose: they are.

    Raises:
        BadClassSet: other names or words are asked for, or such a class set does not exist.
    """
    if not asked:
        return
    wanted = load_class_set(asked)
    if [(c.name, c.prompts) for c in wanted.classes] != [(c.name, c.prompts) for c in own.classes]:
        raise BadClassSet(
            "labels",
            f"Setting `classes` asks for {listed(wanted)}, but the labels of {whose} mean {listed(own)}: leave "
            "`classes` out, or have others made.",
        )


def wished(classes: str) -> str:
    """Return the setting `classes`, empty where it is the default, which is nobody's wish."""
    return "" if classes == PretrainConfig().classes else classes


def listed(classes: ClassSet) -> str:
    """Return a class set's name and the names of its classes, for errors."""
    return f"{classes.name or 'words'} ({', '.join(classes.names)[:200]})"


class _FirstOf:
    """Label images in several places."""

    def __init__(self, sources: Sequence[LabelTopics]) -> None:
        self._sources = sources

    def read(self, view: View) -> PixelClasses | None:
        """Return the labels of a view where any source has them."""
        return next((found for source in self._sources if (found := source.read(view)) is not None), None)

    def __str__(self) -> str:
        return ", ".join(map(str, self._sources))


def shipped_or_other(clip: ClipConfig) -> Clip:
    """Load a CLIP, `tiny` being the shipped one."""
    return load_clip(replace(clip, checkpoint=str(TINY_CLIP) if clip.checkpoint == TINY else clip.checkpoint))


def _of_bags(paths: Sequence[Path], classes: str) -> ExternalTeacher:
    if not paths:
        raise BadTeacher("topics", "Setting `teacher` is `bag`, label images in the bags: expected bags to learn from.")
    bags = [BagReader(path).__enter__() for path in paths]  # open as long as this process may ask
    class_set = topic_teacher(bags[0], wished(classes)).class_set
    return ExternalTeacher(class_set, _FirstOf([LabelTopics(bag, class_set) for bag in bags]))


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise BadConfig(
            "teacher", f"Setting `teacher` expects an error rate in [0, 1], as in `noisy:0.3`, not {text!r}."
        )
    return rate


def _weights(clip: ClipConfig) -> str:
    """Return a digest of a model's weights."""
    if clip.checkpoint:
        return file_sha256(TINY_CLIP if clip.checkpoint == TINY else clip.checkpoint)
    digest = hashlib.sha256()
    for name, tensor in load_clip(clip).model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
