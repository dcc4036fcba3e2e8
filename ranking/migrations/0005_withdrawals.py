"""Withdrawing a labeler is a row of its own; while it stands they stay paused."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


FORWARD = """
CREATE TRIGGER withdrawals_are_kept BEFORE DELETE ON ranking_withdrawal
    FOR EACH ROW EXECUTE FUNCTION ranking_is_append_only();

-- Runs with the membership's row locked, as a withdrawal has it from its start: who
-- comes second sees what the first one did.
CREATE FUNCTION a_withdrawn_labeler_stays_paused() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM ranking_withdrawal
               WHERE labeler_id = NEW.id AND ended_at IS NULL) THEN
        RAISE EXCEPTION 'the work of member % is withdrawn', NEW.id
            USING ERRCODE = 'restrict_violation',
                  CONSTRAINT = 'a_withdrawn_labeler_stays_paused';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER a_withdrawn_labeler_stays_paused
    BEFORE UPDATE OF paused_at ON annotation_membership
    FOR EACH ROW WHEN (OLD.paused_at IS NOT NULL AND NEW.paused_at IS NULL)
    EXECUTE FUNCTION a_withdrawn_labeler_stays_paused();
"""

BACKWARD = """
DROP TRIGGER a_withdrawn_labeler_stays_paused ON annotation_membership;
DROP FUNCTION a_withdrawn_labeler_stays_paused();
DROP TRIGGER withdrawals_are_kept ON ranking_withdrawal;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0007_unseen_prompts_come_again'),
        ('ranking', '0004_refusals_stay'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Withdrawal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(max_length=300)),
                ('withdrawn_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('labeler', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='withdrawals', to='annotation.membership')),
                ('withdrawn_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('labeler',), name='a_labeler_is_withdrawn_once_at_a_time'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('ended_by__isnull', True)), models.Q(('ended_at__isnull', False), ('ended_by__isnull', False)), _connector='OR'), name='somebody_ends_a_withdrawal')],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
