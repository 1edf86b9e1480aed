"""Text embeddings: words in, unit vectors out, and classes made of several words.

A word is put into 85 sentences (`templates.py`); its vector is the mean of theirs. A class has one or more words and is
as near as its best word: embeddings of unlike words (building, pole) are never averaged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import TextConfig
from clip2scene_ros.errors import BadTeacher, Clip2SceneError
from clip2scene_ros.files import whole_file
from clip2scene_ros.student.header import read_header
from clip2scene_ros.teacher.clip import Clip
from clip2scene_ros.teacher.templates import TEMPLATES
from clip2scene_ros.teacher.tokenizer import WordTokenizer

METADATA_KEY = "clip2scene_words"
SENTENCES_AT_ONCE = 128
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class WordRows:
    """Words and their vectors, made here or elsewhere.

    Attributes:
        words: M different ones.
        rows: (T, M, D) float32 of length 1, one a template; T is 1 for rows that somebody else averaged.
        model: which text tower they are from, for reports.
    """

    words: tuple[str, ...]
    rows: Tensor
    model: str

    def means(self, templates: Sequence[int] | None = None) -> Tensor:
        """Return (M, D) the words' vectors: the mean over all templates, or over those chosen, at length 1."""
        chosen = self.rows if templates is None else self.rows[list(templates)]
        return functional.normalize(chosen.mean(0), dim=-1)

    def select(self, class_set: ClassSet) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the places of a class set's words, and the class of each, C for absorbers.

        Rows that were made elsewhere need not have all words: those missing are logged.

        Raises:
            BadTeacher: `words`: a class of which not one word is there.
        """
        place = {word: i for i, word in enumerate(self.words)}
        columns = [*(c.prompts for c in class_set.classes), class_set.absorbers]
        missing = [word for words in columns for word in words if word not in place]
        without = [
            c.name for c, words in zip(class_set.classes, columns, strict=False) if not any(w in place for w in words)
        ]
        if without:
            raise BadTeacher(
                "words",
                f"There is no text embedding ({self.model}, {len(place)} words) for any word of: "
                f"{', '.join(without)}. Use other words, or a CLIP model that can encode them.",
            )
        if missing:
            log.warning("No text embedding for %d words, left out: %s.", len(missing), ", ".join(missing))
        pairs = [(place[word], c) for c, words in enumerate(columns) for word in words if word in place]
        return tuple(i for i, _ in pairs), tuple(c for _, c in pairs)


@dataclass(frozen=True, eq=False)
class ClassVectors:
    """What image features are compared with.

    Attributes:
        class_set: C classes.
        rows: (M, D) float32 of length 1, one a word.
        owner: class id of each row, C for absorbers.
        combine: how words make a class: `max` or `lse`.
        scale: cosines times this are logits.
    """

    class_set: ClassSet
    rows: Tensor
    owner: tuple[int, ...]
    combine: str
    scale: float

    def scores(self, features: Tensor) -> Tensor:
        """Return (..., K) how near features are to each class; K is C, or C + 1 where there are absorbers.

        The best word's cosine (`max`), or 1/s log mean exp(s cosine) over the words (`lse`), in which many words are no
        advantage over one.

        Args:
            features: (..., D) of length 1.

        Raises:
            BadTeacher: `dimension`: the features are of another model.
        """
        if features.shape[-1] != self.rows.shape[1]:
            raise BadTeacher(
                "dimension",
                f"Image features have {features.shape[-1]} numbers, text embeddings {self.rows.shape[1]}: they are of "
                "different models.",
            )
        cosines = features @ self.rows.to(features).T
        owner = torch.tensor(self.owner, device=features.device)
        words = [cosines[..., owner == column] for column in range(max(self.owner) + 1)]
        if self.combine == "max":
            return torch.stack([each.amax(-1) for each in words], dim=-1)
        sums = [(self.scale * each).logsumexp(-1) - np.log(each.shape[-1]) for each in words]
        return torch.stack(sums, dim=-1) / self.scale


def class_vectors(
    words: WordRows, class_set: ClassSet, config: TextConfig | None = None, templates: Sequence[int] | None = None
) -> ClassVectors:
    """Return the vectors of a class set.

    Args:
        words: at least one word of each class.
        class_set: names, words and absorbers.
        config: how words are combined.
        templates: only these of the sentences count; None takes all.

    Raises:
        BadTeacher: `words`: a class without any.
    """
    config = config or TextConfig()
    places, owner = words.select(class_set)
    return ClassVectors(class_set, words.means(templates)[list(places)], owner, config.combine, config.scale)


def words_of(class_set: ClassSet) -> tuple[str, ...]:
    """Return all words of a class set, absorbers too, each once."""
    return tuple(dict.fromkeys([*(word for c in class_set.classes for word in c.prompts), *class_set.absorbers]))


def encode_words(clip: Clip, words: Sequence[str], config: TextConfig | None = None) -> WordRows:
    """Return the vectors of words; those that were made before, by the same model of the same words, are read.

    Raises:
        OSError: the cache folder cannot be written.
    """
    config = config or TextConfig()
    if isinstance(clip.tokenize, WordTokenizer) and (unknown := [w for w in words if clip.tokenize.unknown(w)]):
        log.warning("%s never learned these words, their labels mean little: %s.", clip.card.name, ", ".join(unknown))
    if not config.cache:
        return _encode(clip, words)
    content = json.dumps([clip.text_sha256, list(words), TEMPLATES])
    path = Path(os.path.expanduser(config.cache)) / f"{hashlib.sha256(content.encode()).hexdigest()}.safetensors"
    if path.exists():
        try:
            return load_rows(path)
        except Clip2SceneError as error:
            log.warning("The text cache is damaged and made again: %s", error)
    made = _encode(clip, words)
    save_rows(path, made)
    return made


@torch.inference_mode()
def _encode(clip: Clip, words: Sequence[str]) -> WordRows:
    sentences = [template.replace("{}", word) for template in TEMPLATES for word in words]
    parts = [
        text_features(clip.model, clip.tokenize(sentences[i : i + SENTENCES_AT_ONCE]).to(clip.device))
        for i in range(0, len(sentences), SENTENCES_AT_ONCE)
    ]
    rows = functional.normalize(torch.cat(parts).float(), dim=-1).cpu()
    return WordRows(tuple(words), rows.view(len(TEMPLATES), len(words), -1), clip.card.name)


def text_features(model: torch.nn.Module, tokens: Tensor) -> Tensor:
    """Return (B, D) what `model.encode_text` returns, in a fraction of the time for short sentences.

    In a tower that only looks back, what comes after the end token changes nothing: it is cut off.

    Args:
        model: open_clip's CLIP.
        tokens: (B, L) int64; the end token has the highest number.
    """
    mask, pool = getattr(model, "attn_mask", None), getattr(model, "text_pool_type", "")
    if mask is None or pool != "argmax":
        features: Tensor = model.encode_text(tokens)  # type: ignore[operator]
        return features
    end = tokens.argmax(-1)
    length = int(end.max()) + 1
    full_positions = model.positional_embedding
    x = model.token_embedding(tokens[:, :length]) + full_positions[:length]  # type: ignore[operator,index]
    x = model.ln_final(model.transformer(x, attn_mask=mask[:length, :length]))  # type: ignore[operator]
    x = x[torch.arange(len(x), device=x.device), end]
    projection = model.text_projection
    if projection is None:
        return x
    return projection(x) if isinstance(projection, torch.nn.Module) else x @ projection  # type: ignore[no-any-return]


def save_rows(path: Path, words: WordRows) -> None:
    """Write words and their vectors as safetensors; atomic."""
    card = json.dumps({"words": words.words, "model": words.model})
    content = save({"rows": words.rows.contiguous()}, {METADATA_KEY: card})
    with whole_file(path) as file:
        file.write(content)


def load_rows(path: str | Path, names: str | Path | Sequence[str] = ()) -> WordRows:
    """Read ready-made text embeddings.

    Args:
        path: `.safetensors` as `save_rows` writes it, or `.npy` with (M, D) or (T, M, D) numbers.
        names: the M words of a `.npy`: a list of them, or a JSON file that holds one; `file.json#key` is a list in it.

    Raises:
        BadTeacher: `rows` or `names`: not what is expected.
        BadCheckpoint: a `.safetensors` file that is missing or damaged.
    """
    path = Path(path)
    rows, words, model = _read_npy(path, names) if path.suffix == ".npy" else _read_safetensors(path)
    rows = rows[None] if rows.ndim == 2 else rows
    if rows.ndim != 3 or rows.shape[1] != len(words) or 0 in rows.shape or not bool(torch.isfinite(rows).all()):
        raise BadTeacher(
            "rows",
            f"{path}: expected one row of finite numbers for each of {len(words)} words, but found an array of shape "
            f"{tuple(rows.shape)}.",
        )
    return WordRows(words, functional.normalize(rows.float(), dim=-1), model)


def _read_npy(path: Path, names: str | Path | Sequence[str]) -> tuple[Tensor, tuple[str, ...], str]:
    words = _read_names(str(names)) if isinstance(names, str | Path) else tuple(names)
    if len(set(words)) < len(words):
        raise BadTeacher("names", f"{path}: expected different words for its rows, but got {', '.join(words)[:200]}.")
    try:
        array = np.load(path, allow_pickle=False)
        return torch.from_numpy(array.astype(np.float32)), words, path.name
    except (OSError, ValueError, EOFError) as error:
        raise BadTeacher("rows", f"{path}: expected an array of numbers in .npy, but: {error}") from error


def _read_names(place: str) -> tuple[str, ...]:
    path, _, key = place.partition("#")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadTeacher(
            "names", f"{path or 'names'}: expected a JSON file with the rows' words, but: {error}"
        ) from error
    words = content.get(key) if key and isinstance(content, dict) else content
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        keys = f"; it has the keys {', '.join(content)}: name one as {path}#KEY" if isinstance(content, dict) else ""
        raise BadTeacher("names", f"{place}: expected a list of words{keys}.")
    return tuple(words)


def _read_safetensors(path: Path) -> tuple[Tensor, tuple[str, ...], str]:
    entries, metadata = read_header(path)
    try:
        card = json.loads(metadata[METADATA_KEY])
        return load_file(path)["rows"], tuple(str(word) for word in card["words"]), str(card["model"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BadTeacher(
            "rows",
            f"{path}: expected a tensor `rows` and metadata `{METADATA_KEY}` with `words` and `model`, but found "
            f"{', '.join(entries) or 'no tensor'} and {', '.join(metadata) or 'no metadata'}.",
        ) from error
