"""The networks that TensorFlow is timed on, in Keras."""

from tensorflow import keras

HE = keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal", seed=0)
ONE = keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal", seed=0)


def lenet(shape: list[int], classes: int) -> keras.Model:
    """LeNet-5 with ReLU and max-pooling, drawn as ours is."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(tuple(shape)),
            layers.Conv2D(6, 5, padding="same", activation="relu", kernel_initializer=HE),
            layers.MaxPool2D(2),
            layers.Conv2D(16, 5, activation="relu", kernel_initializer=HE),
            layers.MaxPool2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu", kernel_initializer=HE),
            layers.Dense(84, activation="relu", kernel_initializer=HE),
            layers.Dense(classes, kernel_initializer=ONE),
        ]
    )
