"""The networks that TensorFlow is timed on, in Keras."""

from tensorflow import keras
from tensorflow.keras import layers


def lenet(shape: list[int], classes: int) -> keras.Model:
    """LeNet-5 with ReLU and max-pooling, drawn as ours is."""
    return keras.Sequential(
        [
            keras.Input(tuple(shape)),
            layers.Conv2D(6, 5, padding="same", activation="relu", kernel_initializer=drawn(2.0)),
            layers.MaxPool2D(2),
            layers.Conv2D(16, 5, activation="relu", kernel_initializer=drawn(2.0)),
            layers.MaxPool2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu", kernel_initializer=drawn(2.0)),
            layers.Dense(84, activation="relu", kernel_initializer=drawn(2.0)),
            layers.Dense(classes, kernel_initializer=drawn(1.0)),
        ]
    )


def drawn(scale: float) -> keras.initializers.Initializer:
    """Normal with variance scale / inputs."""
    return keras.initializers.VarianceScaling(scale, "fan_in", "untruncated_normal")


def resnet50(shape: list[int], classes: int) -> keras.Model:
    """ResNet-50; a block's stride is in its 3x3 convolution."""
    images = keras.Input(tuple(shape))
    x = layers.ReLU()(_unit(layers.ZeroPadding2D(3)(images), 64, 7, 2, "valid"))
    x = layers.MaxPool2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for stage, count in enumerate((3, 4, 6, 3)):
        for number in range(count):
            x = _block(x, 64 * 2**stage, 2 if stage and not number else 1)
    pooled = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(classes)(pooled))


def _block(x: keras.KerasTensor, inner: int, stride: int) -> keras.KerasTensor:
    out = 4 * inner
    y = layers.ReLU()(_unit(x, inner, 1, 1))
    y = layers.ReLU()(_unit(y, inner, 3, stride))
    y = _unit(y, out, 1, 1)
    shortcut = _unit(x, out, 1, stride) if stride > 1 or x.shape[-1] != out else x
    return layers.ReLU()(layers.Add()([y, shortcut]))


def _unit(
    x: keras.KerasTensor, out: int, k: int, stride: int, padding: str = "same"
) -> keras.KerasTensor:
    x = layers.Conv2D(out, k, stride, padding, use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
