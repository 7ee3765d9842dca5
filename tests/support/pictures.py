"""Small labelled images that a model can learn in seconds, and folders of them."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SIDE = 12


def drawn(count, *, seed=0, channels=1, classes=3):
    """Noise with one bright bar; the bar's place tells the class, and labels come in turn."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.uint8)
    images = generator.integers(0, 120, (count, SIDE, SIDE, channels))
    for row, label in enumerate(labels):
        images[row, 3 + 2 * label : 5 + 2 * label, 2:10] += 100
    return images.astype(np.uint8), labels


def write_npz(folder, *, train=240, test=60, **drawing):
    """A folder of train.npz and, unless `test` is 0, test.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, count) in enumerate((("train", train), ("test", test))):
        if count:
            images, labels = drawn(count, seed=number, **drawing)
            np.savez(folder / f"{name}.npz", images=images, labels=labels)
    return folder


def encoded(image, kind="PNG"):
    """The bytes of an image file."""
    stream = io.BytesIO()
    Image.fromarray(image.squeeze()).save(stream, kind)
    return stream.getvalue()


def write_parquet(file, images, labels, **columns):
    """A Parquet file of PNG images and labels."""
    file.parent.mkdir(parents=True, exist_ok=True)
    table = {"label": pa.array(labels, pa.int8()), "png": [encoded(image) for image in images]}
    pq.write_table(pa.table({**table, **columns}), file)


def question(folder, *, name="bars", changes=""):
    """The text of a prediction file about such a folder."""
    return (
        f"name: {name}\nsource: {{images: {folder}}}\ntarget: {{kind: image_class}}\n"
        "model: {type: lenet5, filters: [4, 6], dense: [16, 12]}\n"
        f"training: {{epochs: 3, batch_size: 16, learning_rate: 0.01}}\n{changes}"
    )
