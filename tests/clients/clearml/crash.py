"""A script whose training raises: the SDK then tells the server why."""

from clearml import Task

task = Task.init("Story/Crashes", "raises", auto_connect_frameworks=False, auto_resource_monitoring=False)
print("id", task.id, flush=True)
raise ValueError("the loss is gone")
