"""Sparse convolution in pure PyTorch."""
