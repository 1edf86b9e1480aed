"""A virtual photographer: pictures of scenes of its own, each with one caption, to learn a small CLIP from.

It stands for what a CLIP is trained on: photos that people took of things, near and far, with a few words beside
them. No scene, no asset and no picture of the driving world is used. `photographer.photo(seed, config)` takes one,
`corpus.PhotoCorpus` keeps many. See docs/photos.md.
"""

from clip2scene_training.photos.config import PhotoConfig

__all__ = ["PhotoConfig"]
