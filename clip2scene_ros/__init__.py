"""Annotation-free LiDAR segmentation for ROS 2: CLIP names the pixels, a sparse 3D network learns them."""

__version__ = "0.1.0"
