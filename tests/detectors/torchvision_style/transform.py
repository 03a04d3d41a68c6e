"""Images of many sizes to one tensor, and what was found in it back to the images."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.torchvision_style.boxes import Size, resize_boxes
from detectors.torchvision_style.masks import paste_masks

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageList:
    """Images in one padded tensor [N, C, H, W], and the size of each before padding."""

    def __init__(self, tensors: Tensor, image_sizes: list[Size]) -> None:
        self.tensors = tensors
        self.image_sizes = image_sizes


class GeneralizedRCNNTransform(nn.Module):
    """Normalizes, resizes (shorter side to min_size, longer at most max_size) and pads images."""

    def __init__(
        self,
        min_size: int,
        max_size: int,
        image_mean: tuple[float, ...] = MEAN,
        image_std: tuple[float, ...] = STD,
        *,
        size_divisible: int = 32,
        fixed_size: Size | None = None,
    ) -> None:
        super().__init__()
        self.min_size = (min_size,)
        self.max_size = max_size
        self.image_mean, self.image_std = image_mean, image_std
        self.size_divisible = size_divisible
        self.fixed_size = fixed_size  # width, height

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[ImageList, list[dict[str, Tensor]] | None]:
        images = list(images)
        for index, image in enumerate(images):
            if image.dim() != 3:
                raise ValueError(f"image {index} must be [C, H, W], got {list(image.shape)}")
            images[index] = self.resize(self.normalize(image))
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        return ImageList(self.batch_images(images, self.size_divisible), sizes), targets

    def normalize(self, image: Tensor) -> Tensor:
        """Return (image - mean) / std, channel by channel."""
        if not image.is_floating_point():
            raise TypeError(f"images must hold floats from 0 to 1, got {image.dtype}")
        mean = torch.as_tensor(self.image_mean, dtype=image.dtype)
        std = torch.as_tensor(self.image_std, dtype=image.dtype)
        return (image - mean[:, None, None]) / std[:, None, None]

    def resize(self, image: Tensor) -> Tensor:
        """Return the image at the size that the network sees."""
        if self.fixed_size is not None:
            size = (self.fixed_size[1], self.fixed_size[0])
            return F.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]
        shorter, longer = min(image.shape[-2:]), max(image.shape[-2:])
        return F.interpolate(
            image[None],
            scale_factor=min(self.min_size[-1] / shorter, self.max_size / longer),
            mode="bilinear",
            recompute_scale_factor=True,
            align_corners=False,
        )[0]

    def batch_images(self, images: list[Tensor], size_divisible: int) -> Tensor:
        """Return [N, C, H, W]: each image in the top left, 0 around it."""
        height, width = (
            math.ceil(max(image.shape[axis] for image in images) / size_divisible) * size_divisible
            for axis in (1, 2)
        )
        batch = images[0].new_full((len(images), images[0].shape[0], height, width), 0)
        for index in range(len(images)):
            image = images[index]
            batch[index, : image.shape[0], : image.shape[1], : image.shape[2]].copy_(image)
        return batch

    def postprocess(
        self,
        result: list[dict[str, Tensor]],
        image_shapes: list[Size],
        original_image_sizes: list[Size],
    ) -> list[dict[str, Tensor]]:
        """Return the results with boxes and masks in pixels of the images as they were given."""
        for found, seen, given in zip(result, image_shapes, original_image_sizes, strict=True):
            found["boxes"] = resize_boxes(found["boxes"], seen, given)
            if "masks" in found:
                found["masks"] = paste_masks(found["masks"], found["boxes"], given)
        return result


def sizes_of(images: list[Tensor]) -> list[Size]:
    """Return height and width of each image."""
    return [(image.shape[-2], image.shape[-1]) for image in images]
