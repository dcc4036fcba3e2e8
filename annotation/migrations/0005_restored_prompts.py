"""What the queue's verbs need.

When a prompt was put back: the votes of before no longer count against it. And one
index less: that of an assignment's labeler alone, which the planner took for labelers
whom the statistics did not know, and which reads all that they ever did.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0004_queue_places")]
    operations = [
        migrations.AddField(
            model_name="prompt",
            name="restored_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="assignment",
            name="labeler",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="annotation.membership",
            ),
        ),
    ]
