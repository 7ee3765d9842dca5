"""The networks that PyTorch is timed on."""

import torch
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        out = 4 * inner
        self.path = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, stride, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = (
            nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            if stride > 1 or channels != out
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))


def resnet50(channels: int, classes: int) -> nn.Module:
    layers = [
        nn.Conv2d(channels, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    width = 64
    for stage, count in enumerate((3, 4, 6, 3)):
        for number in range(count):
            layers.append(Bottleneck(width, 64 * 2**stage, 2 if stage and not number else 1))
            width = 256 * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def lenet(shape: list[int], classes: int) -> nn.Module:
    height, width, channels = shape
    size = 16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(size, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )


class Residual(nn.Module):
    def __init__(self, width: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, expansion * width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(expansion * width, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.path(x)


class Mlp(nn.Module):
    def __init__(self, features: int, classes: int, o: dict) -> None:
        super().__init__()
        blocks = [Residual(o["width"], o["expansion"], o["dropout"]) for _ in range(o["blocks"])]
        self.deep = nn.Sequential(
            nn.Linear(features, o["width"]),
            *blocks,
            nn.LayerNorm(o["width"]),
            nn.Linear(o["width"], classes, bias=False),
        )
        self.skip = nn.Linear(features, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.deep(x) + self.skip(x)


class Lstm(nn.Module):
    def __init__(self, inputs: int, classes: int, o: dict) -> None:
        super().__init__()
        self.read = nn.Linear(inputs, o["width"])
        self.lstm = nn.LSTM(o["width"], o["width"], o["layers"], batch_first=True)
        self.head = nn.Linear(o["width"], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.read(x))[0][:, -1])


class Transformer(nn.Module):
    def __init__(self, steps: int, inputs: int, classes: int, o: dict) -> None:
        super().__init__()
        width = o["width"]
        self.read = nn.Linear(inputs, width)
        self.positions = nn.Parameter(0.1 * torch.randn(1, steps, width))
        layer = nn.TransformerEncoderLayer(
            width,
            o["attention_heads"],
            o["expansion"] * width,
            o["dropout"],
            activation=lambda x: nn.functional.gelu(x, approximate="tanh"),
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, o["blocks"], enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.encoder(self.read(x) + self.positions).mean(1)))


def network(case: dict) -> nn.Module:
    kind, shape = case["name"].split("_")[0], case["shape"]
    classes, options = case["classes"], case["options"]
    if kind == "lenet":
        return lenet(shape, classes)
    if kind == "resnet50":
        return resnet50(shape[-1], classes)
    if kind == "mlp":
        return Mlp(*shape, classes, options)
    if kind == "lstm":
        return Lstm(shape[1], classes, options)
    return Transformer(*shape, classes, options)
