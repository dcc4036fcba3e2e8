"""A project says under which licence its data may be used; changes of it are noted."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0014_removals_are_noted"),
    ]

    operations = [
        migrations.AddField(
            model_name="project",
            name="data_licence",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Of what is exported, as in cc-by-4.0. Empty: none is named.",
                max_length=100,
            ),
        ),
        # Beside the trigger of migration 0011, which watches the other columns.
        migrations.RunSQL(
            "CREATE TRIGGER project_licence_is_noted"
            " AFTER UPDATE OF data_licence ON annotation_project"
            " FOR EACH ROW EXECUTE FUNCTION"
            " annotation_note_change('project', 'id', 'data_licence')",
            "DROP TRIGGER project_licence_is_noted ON annotation_project",
        ),
    ]
