"""Run by the environment of the clients: an unmodified Domino client tags, books and starts a job."""

from __future__ import annotations

import os

from domino import Domino
from domino.domino_enums import BillingTagSettingMode


def main() -> None:
    client = Domino("admin@quintet.local/dates")
    client.requires_at_least("6.2.0")
    project = client.project_id
    assert project == os.environ["PROJECT_ID"]
    assert [p["name"] for p in client.projects_list()] == ["dates"]

    client.billing_tags_create(["research"])
    assert client.active_billing_tag_by_name("research")["billingTag"]["active"] is True
    client.project_billing_tag_update("research", project_id=project)
    assert client.project_billing_tag(project_id=project) == {"tag": "research"}
    assert client.projects_by_billing_tag("research")["totalMatches"] == 1
    client.project_billing_tag_bulk_update({project: "research"})
    client.project_billing_tag_reset(project_id=project)
    assert client.project_billing_tag(project_id=project) is None
    client.billing_tag_settings_mode_update(BillingTagSettingMode.OPTIONAL)
    assert client.billing_tag_settings_mode()["mode"] == "optional"
    client.billing_tag_archive("research")
    assert client.billing_tags_list_active()["billingTags"] == []

    made = client.create_environment("env", visibility="Private", base_image="python:3.12")["environment"]
    assert client.get_environment(made["id"])["environment"]["name"] == "env"
    client.create_environment_revision(made["id"], base_image="python:3.13")
    client.archive_environment(made["id"])

    job = client.job_start("python train.py", title="train")
    assert client.job_status(job["id"])["statuses"]["executionStatus"] == "Queued"
    assert [j["id"] for j in client.jobs_list(project)["jobs"]] == [job["id"]]
    assert client.job_stop(job["id"]).status_code == 200
    assert client.job_status(job["id"])["statuses"]["isCompleted"] is True


if __name__ == "__main__":
    main()
    print("all of the story happened")
