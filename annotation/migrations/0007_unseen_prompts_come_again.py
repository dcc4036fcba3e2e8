"""What was loaded ahead and went to somebody else unseen may come to its labeler again.

Rows that expired before this do not say whether they were seen; they count as seen.
"""

from django.db import migrations, models
from django.db.models import Q

NAME = "a_prompt_comes_once_to_a_labeler"
EXPIRED_WERE_SEEN = """
UPDATE annotation_assignment SET shown_at = coalesce(claimed_at, closed_at, now())
WHERE state = 'expired' AND shown_at IS NULL
"""


class Migration(migrations.Migration):
    dependencies = [("annotation", "0006_checks_are_found_by_index")]
    operations = [
        migrations.RunSQL(EXPIRED_WERE_SEEN, migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="assignment", name=NAME),
        migrations.AddConstraint(
            model_name="assignment",
            constraint=models.UniqueConstraint(
                fields=["prompt", "labeler", "repeat"],
                condition=Q(labeler__isnull=False)
                & ~Q(state="expired", shown_at__isnull=True),
                name=NAME,
            ),
        ),
    ]
