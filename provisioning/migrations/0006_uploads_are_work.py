"""A work item of every organization carries its devices' edits to the source."""

from __future__ import annotations

from datetime import timedelta

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Q

_GONE = ("deprovisioned", "requested", "creating", "deprovisioning")


def add_items(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Organizations that come later get theirs with their database."""
    organization = apps.get_model("provisioning", "Organization")
    work_item = apps.get_model("provisioning", "WorkItem")
    ids = organization.objects.exclude(state__in=_GONE).values_list("pk", flat=True)
    work_item.objects.bulk_create(
        [
            work_item(
                organization_id=pk, kind="uploads", interval=timedelta(minutes=10)
            )
            for pk in ids
        ],
        ignore_conflicts=True,
    )


def remove_items(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("provisioning", "WorkItem").objects.filter(kind="uploads").delete()


class Migration(migrations.Migration):
    # Rows are written between the two halves of a change of constraints.
    atomic = False

    dependencies = [("provisioning", "0005_large_tables_are_loaded_in_parts")]

    operations = [
        migrations.RemoveConstraint(
            model_name="workitem",
            name="provisioning_all_but_metadata_names_a_table",
        ),
        migrations.AddField(
            model_name="workitem",
            name="expected_by",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="workitem",
            name="waiting",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="workitem",
            name="waiting_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="workitem",
            name="kind",
            field=models.CharField(
                choices=[
                    ("metadata", "metadata"),
                    ("table", "table"),
                    ("part", "part"),
                    ("uploads", "uploads"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="workitem",
            constraint=models.CheckConstraint(
                condition=Q(kind__in=["table", "part"]) ^ Q(table=""),
                name="provisioning_work_on_a_table_names_it",
            ),
        ),
        migrations.AlterModelOptions(
            name="workitem",
            options={
                "permissions": [
                    ("view_uploaded_values", "Can see the values of devices' edits")
                ]
            },
        ),
        migrations.RunPython(add_items, remove_items),
    ]
