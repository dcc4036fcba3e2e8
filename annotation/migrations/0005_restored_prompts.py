"""When a prompt was put back: the votes of before no longer count against it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0004_queue_places")]
    operations = [
        migrations.AddField(
            model_name="prompt",
            name="restored_at",
            field=models.DateTimeField(editable=False, null=True),
        )
    ]
