"""The command that asks for one customer at a time: predict."""

import json

import click

from app import console
from app.commands.place import Place
from app.session import open_session
from oriel.inference.v1 import inference_pb2 as pb
from oriel.inference.v1.inference_pb2_grpc import InferenceServiceStub

MODEL = "models/customer_90d"

_STATUS = {
    pb.PREDICTION_STATUS_PREDICTED: "predicted",
    pb.PREDICTION_STATUS_INELIGIBLE: "ineligible",
    pb.PREDICTION_STATUS_UNKNOWN_USER: "unknown user",
}


@click.command()
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@click.option("--model", default=MODEL, show_default=True, help="Model, alias or version.")
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def predict(place: Place, users: tuple[str, ...], model: str, is_json: bool) -> None:
    """Predict for customers by their ids at the source, with the reasons.

    Answers from the features that `oriel run` loaded last. A customer who
    never ordered, or whom nobody knows, gets the base rate and is marked.

    \b
    Examples:
      oriel predict 17850
      oriel --home oriel-out/events/workspace predict 17850 13047 --json
    """
    with open_session(place.home, "oriel predict") as channel:
        request = pb.PredictRequest(model=model, users=users, has_reasons=True)
        answer = InferenceServiceStub(channel).Predict(request)
    as_of = answer.as_of_time.ToJsonString()
    pairs = list(zip(users, answer.predictions, strict=True))
    if is_json:
        for user, prediction in pairs:
            console.say(json.dumps(_fields(user, prediction, answer.model_version, as_of)))
        return
    console.say(f"{answer.model_version}, knowing everything before {as_of}")
    rows = [
        (
            user,
            f"{prediction.active_probability:.3f}",
            f"{prediction.expected_value_micros / 1e6:,.2f}",
            f"{prediction.value_low_micros / 1e6:,.2f} to "
            f"{prediction.value_high_micros / 1e6:,.2f}",
            " ".join(f"{value:.2f}" for value in prediction.segment_probabilities),
            prediction.ineligible_reason or _STATUS.get(prediction.status, "?"),
            "\n".join(f"{each.contribution:+.2f} {each.text}" for each in prediction.reasons),
        )
        for user, prediction in pairs
    ]
    columns = [
        "user",
        "p(buys)",
        "spend",
        "nine in ten",
        "p(nothing low middle high)",
        "status",
        "because",
    ]
    console.table("", columns, rows)


def _fields(user: str, prediction: pb.Prediction, version: str, as_of: str) -> dict[str, object]:
    return {
        "user": user,
        "status": _STATUS.get(prediction.status, "?"),
        "ineligible_reason": prediction.ineligible_reason,
        "p_active": prediction.active_probability,
        "spend": prediction.expected_value_micros / 1e6,
        "spend_low": prediction.value_low_micros / 1e6,
        "spend_high": prediction.value_high_micros / 1e6,
        "segment": prediction.segment,
        "segment_probabilities": list(prediction.segment_probabilities),
        "reasons": [
            {"feature": each.feature, "text": each.text, "contribution": each.contribution}
            for each in prediction.reasons
        ],
        "model_version": version,
        "as_of_time": as_of,
    }
