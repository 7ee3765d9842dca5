"""Images as the engine takes them."""

from services.training.engine import Arrays
from services.training.runs.augmentation import augmentation
from services.training.runs.image_config import ImageRunConfig
from shared.dataset.images import ImageRows


def as_arrays(train: ImageRows, valid: ImageRows, config: ImageRunConfig) -> tuple[Arrays, Arrays]:
    """Images to learn from, changed anew in each epoch, and images to stop on."""
    augment = augmentation(config.augment)
    return (
        Arrays({"images": train.images}, {"label": train.labels}, augment=augment),
        Arrays({"images": valid.images}, {"label": valid.labels}),
    )
