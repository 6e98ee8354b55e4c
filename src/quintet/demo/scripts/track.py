"""Tracks three scikit-learn models on the digits data with the unmodified clearml SDK."""

import tempfile
from pathlib import Path
from typing import Any

import joblib
from clearml import OutputModel, Task
from protocol import arguments, progress, result
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

CHOICES: list[tuple[str, Any, dict[str, Any]]] = [
    ("linear", SGDClassifier, {"alpha": 1e-3, "loss": "log_loss"}),
    ("forest", RandomForestClassifier, {"n_estimators": 60, "max_depth": 12}),
    ("network", MLPClassifier, {"hidden_layer_sizes": [64], "alpha": 1e-4}),
]
EPOCHS = 12


def track(name: str, kind: Any, params: dict[str, Any], data: tuple[Any, ...]) -> dict[str, Any]:
    """One run: parameters, a learning curve, a confusion matrix, text, an artifact and an output model."""
    train_x, test_x, train_y, test_y = data
    task = Task.init(
        project_name="Digits", task_name=f"digits {name}", reuse_last_task_id=False, auto_connect_frameworks=False,
        auto_resource_monitoring=False, output_uri=True,
    )  # fmt: skip
    connected = task.connect(dict(params), name="model")
    chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in dict(connected).items()}
    model = kind(random_state=0, **chosen)
    logger = task.get_logger()
    epochs = EPOCHS if hasattr(model, "partial_fit") else 1
    for epoch in range(epochs):
        if epochs > 1:
            model.partial_fit(train_x, train_y, classes=list(range(10)))
        else:
            model.fit(train_x, train_y)
        for split, x, y in (("train", train_x, train_y), ("test", test_x, test_y)):
            logger.report_scalar("accuracy", split, accuracy_score(y, model.predict(x)), epoch)
    predicted = model.predict(test_x)
    accuracy = float(accuracy_score(test_y, predicted))
    matrix = confusion_matrix(test_y, predicted)
    logger.report_confusion_matrix("digits", "test", matrix, iteration=epochs - 1, xaxis="predicted", yaxis="true")
    logger.report_single_value("accuracy", accuracy)
    logger.report_text(f"{name}: {accuracy:.4f} on {len(test_y)} held-out digits")
    task.upload_artifact("confusion", {"matrix": matrix.tolist()}, wait_on_upload=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.joblib"
        joblib.dump(model, path)
        output = OutputModel(task=task, name=f"digits-{name}", framework="ScikitLearn")
        output.update_weights(str(path), auto_delete_file=False)
        task.flush(wait_for_uploads=True)
    found = {"task": task.id, "model": output.id, "accuracy": accuracy}
    task.close()
    return found


def main() -> None:
    arguments()
    digits = load_digits()
    data = tuple(train_test_split(digits.data / 16.0, digits.target, test_size=0.25, random_state=0))
    runs = {}
    for number, (name, kind, params) in enumerate(CHOICES):
        runs[name] = track(name, kind, params, data)
        progress(number + 1, len(CHOICES), f"{name}: {runs[name]['accuracy']:.1%}")
    # Read back what the server keeps, as another program would.
    for name, run in runs.items():
        task = Task.get_task(task_id=run["task"])
        curve = task.get_reported_scalars()["accuracy"]["test"]
        run["points"] = len(curve["y"])
        run["status"] = task.get_status()
        run["artifacts"] = sorted(task.artifacts)
        assert abs(curve["y"][-1] - run["accuracy"]) < 1e-6, f"{name}: the stored curve ends elsewhere"
    result({"runs": runs})


if __name__ == "__main__":
    main()
