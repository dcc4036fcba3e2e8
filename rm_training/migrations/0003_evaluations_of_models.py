"""A reward model keeps what its evaluation said."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rm_training", "0002_retraining_promotion_and_run_logs")]

    operations = [
        migrations.AddField(
            model_name="rewardmodel",
            name="evaluation",
            field=models.JSONField(null=True),
        ),
    ]
