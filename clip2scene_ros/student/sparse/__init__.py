"""Sparse convolution in pure PyTorch: tensors, kernel maps, one operation, layers."""

from clip2scene_ros.student.sparse.kernel_map import KernelMap, kernel_offsets
from clip2scene_ros.student.sparse.layers import BatchNorm, ReLU, SparseConv3d, fuse, use_engine
from clip2scene_ros.student.sparse.ops import Convolve, convolve
from clip2scene_ros.student.sparse.tensor import SparseTensor, collate

__all__ = [
    "BatchNorm",
    "Convolve",
    "KernelMap",
    "ReLU",
    "SparseConv3d",
    "SparseTensor",
    "collate",
    "convolve",
    "fuse",
    "kernel_offsets",
    "use_engine",
]
