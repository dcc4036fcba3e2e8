"""What a reward model is worth: from rewards and rankings to a report. PURE.

Rewards come in as numbers; nothing here knows torch or Django. Every number of the
report has its n, a 95 % interval from a bootstrap over prompts, and a reason where it
is undefined.
"""
