"""What a user's script does with the unmodified `clearml` SDK; every line that matters is checked on the way."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import warnings

import joblib
import numpy as np
from clearml import Dataset, InputModel, Model, OutputModel, Task
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix

warnings.simplefilter("ignore")
PROJECT = "Story/Classifiers"
work = pathlib.Path(sys.argv[1])


def check(claim: bool, *shown: object) -> None:
    if not claim:
        raise AssertionError(shown)


def train(name: str, strength: float) -> None:
    """Trains and reports as people do."""
    task = Task.init(PROJECT, name, output_uri=True, reuse_last_task_id=False, auto_resource_monitoring=False)
    params = task.connect({"C": strength, "solver": {"name": "lbfgs"}})
    task.connect_configuration({"features": 5, "seed": [1, 2]}, name="data")
    task.add_tags(["story", name])
    x, y = make_classification(200, 5, random_state=0)
    log = task.get_logger()
    for step in range(1, 6):
        model = LogisticRegression(C=params["C"], max_iter=step).fit(x, y)
        log.report_scalar("accuracy", "train", value=float(model.score(x, y)), iteration=step)
    log.report_single_value("final", float(model.score(x, y)))
    log.report_confusion_matrix("confusion", "train", matrix=confusion_matrix(y, model.predict(x)), iteration=5)
    log.report_image("samples", "noise", iteration=0, image=np.zeros((8, 8, 3), dtype=np.uint8))
    log.report_text(f"{name} is trained")
    task.upload_artifact("coefficients", {"coef": model.coef_.tolist()}, wait_on_upload=True)
    path = work / f"{name}.joblib"
    joblib.dump(model, path, compress=True)  # the SDK registers what joblib compresses
    task.close()


STRENGTHS = (0.01, 1.0, 100.0)
if len(sys.argv) > 2:
    train(f"logistic {sys.argv[2]}", float(sys.argv[2]))
    sys.exit()

# Three scripts at once: each spends most of its time in the SDK's own waits at the end of a task.
trainings = [subprocess.Popen([sys.executable, __file__, str(work), str(s)]) for s in STRENGTHS]
check(all(training.wait(120) == 0 for training in trainings))
ids = [Task.get_task(project_name=PROJECT, task_name=f"logistic {s}").id for s in STRENGTHS]
check(len(set(ids)) == 3, ids)

# -- what one script reported, another reads ------------------------------------------------------------------------

task = Task.get_task(task_id=ids[1])
check(task.status == "completed", task.status)
check(Task.get_task(project_name=PROJECT, task_name="logistic 1.0").id == task.id)
check(task.get_parameters()["General/C"] == "1.0", task.get_parameters())
check(task.get_parameters()["General/solver/name"] == "lbfgs")
check(task.get_configuration_object_as_dict("data") == {"features": 5, "seed": [1, 2]})
curve = task.get_reported_scalars()["accuracy"]["train"]
check(curve["x"] == [1, 2, 3, 4, 5], curve)
every = task.get_all_reported_scalars()["accuracy"]["train"]
check(list(every["y"]) == curve["y"], every)
check(task.get_last_scalar_metrics()["accuracy"]["train"]["last"] == curve["y"][-1])
check(task.get_reported_single_value("final") == curve["y"][-1])
check(any("confusion" in str(p.get("metric")) for p in task.get_reported_plots()))
check(len(task.get_debug_samples("samples", "noise")) == 1)
check(any("is trained" in line for line in task.get_reported_console_output(20)))
check(np.array(task.artifacts["coefficients"].get()["coef"]).shape == (1, 5))
(made,) = task.models["output"]
check(isinstance(joblib.load(made.get_weights()), LogisticRegression))

# -- queries --------------------------------------------------------------------------------------------------------

found = Task.get_tasks(project_name=PROJECT, tags=["story"], task_filter={"status": ["completed"]})
check({t.id for t in found} == set(ids), found)
last = Task.get_tasks(project_name=PROJECT, tags=["story", "-logistic 1.0", "-logistic 0.01"])
check([t.id for t in last] == [ids[2]])
rows = Task.query_tasks(
    project_name=PROJECT, additional_return_fields=["name"], task_filter={"order_by": ["-last_update"]}
)
check({r["id"] for r in rows} == set(ids), rows)
check([p.name for p in Task.get_projects()].count(PROJECT) == 1)

# -- models -----------------------------------------------------------------------------------------------------------

weights = work / "weights.bin"
weights.write_bytes(os.urandom(300_000))
holder = Task.create(PROJECT, "holder")
holder.mark_started()
output = OutputModel(task=holder, name="Story model", framework="PyTorch", tags=["best"], label_enumeration={"cat": 1})
output.update_weights(str(weights), upload_uri=os.environ["CLEARML_FILES_HOST"], auto_delete_file=False)
output.set_metadata("quality", "high", "str")
output.wait_for_uploads()
(queried,) = Model.query_models(
    project_name=PROJECT, model_name="Story model", tags=["best"], metadata={"quality": "high"}
)
check(pathlib.Path(queried.get_weights()).read_bytes() == weights.read_bytes())
check(queried.labels == {"cat": 1})
output.publish()
check(Model(output.id).published)
holder.reload()
holder.connect(InputModel(model_id=output.id))
check([m.id for m in Task.get_task(holder.id).models["input"]] == [output.id])

# -- copies, queues, states -------------------------------------------------------------------------------------------

copy = Task.clone(source_task=task, name="a copy")
check(copy.status == "created")
check(copy.parent == task.id)
check(copy.get_parameters() == task.get_parameters())
Task.enqueue(copy, queue_name="default")
copy.reload()
check(copy.status == "queued", copy.status)
Task.dequeue(copy)
copy.reload()
check(copy.status == "created", copy.status)
copy.set_archived(True)
shown = Task.get_tasks(project_name=PROJECT, task_filter={"system_tags": ["-archived"]})
check(copy.id not in {t.id for t in shown})
check(bool(copy.delete()))
failing = Task.create(PROJECT, "failing")
failing.mark_started()
failing.mark_failed(status_reason="no luck", status_message="really")
failing.reload()
check((failing.status, failing.data.status_reason) == ("failed", "no luck"))
failing.reset(force=True)
failing.reload()
check(failing.status == "created")

# -- datasets ---------------------------------------------------------------------------------------------------------

(work / "rows.csv").write_text("a,b\n1,2\n")
dataset = Dataset.create(dataset_name="rows", dataset_project="Story")
dataset.add_files(work / "rows.csv")
dataset.upload(show_progress=False)
dataset.finalize()
again = Dataset.get(dataset_name="rows", dataset_project="Story")
check(again.id == dataset.id)
check((pathlib.Path(again.get_local_copy()) / "rows.csv").read_text() == "a,b\n1,2\n")
check([d["name"] for d in Dataset.list_datasets(dataset_project="Story")] == ["rows"])
print("done")
