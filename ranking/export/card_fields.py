"""What the rows of each kind hold, as the card tells it. PURE."""

from typing import Final

_ORIGIN = """\
| `prompt_id`, `ranking_id`, `labeler` | where the row comes from; the labeler by \
pseudonym |
"""
_WEIGHTS = """\
| `weight` | 1 / rows of that ranking: every ranking weighs 1 |
| `prompt_weight` | `weight` / rankings of the prompt that have a row: every prompt \
weighs 1 |
| `split` | train, valid1 (choose on it) or valid2 (report on it); fixed for a prompt |

Rows of one ranking are not independent: a K = 9 ranking gives up to 36 pairs. Use a
weight, and never split rows of one prompt between training and test.
"""
TOGETHER: Final = """\
Rows come from all labelers of a prompt together: instead of `ranking_id` and `labeler`
there is `labelers`, how many they are. Both weights add up to 1 for a prompt. `share`
(majority, soft) is the share of labelers who prefer the chosen response, a tie being
half. `undecided_pairs` (rankings) counts pairs that are tied because the nearest orders
differ on them. Columns of a single ranking are absent.
"""
FIELDS: Final = {
    "rankings": """\
One row a ranking: a labeler's weak order over all responses of a prompt.

| field | meaning |
|---|---|
| `prompt_id`, `prompt` | the prompt's id, and its messages |
| `responses` | `{id, text, model}` each, sorted by id |
| `ranks` | aligned with `responses`; 1 is best, equal is a tie, no gaps |
| `labeler` | pseudonym, the same in every dataset of this project only |
| `ranking_id` | the ranking's own id, the same in every export |
| `display_order` | indices into `responses`, first shown first; null: imported |
| `instructions_version` | what the labeler was told; null: imported |
| `seconds` | active time; null: not known |
| `submitted_at` | UTC |
| `split` | train, valid1 (choose on it) or valid2 (report on it); fixed for a prompt |
| `status`, `pool` | whether it counted, and how the prompt was chosen |
| `tags` | of the prompt |
| `ratings` | 1 to 7, 7 is best; aligned with `responses`, null: not rated |
| `flags` | what the labeler ticked; aligned with `responses`, empty: none at all |
| `note` | what the labeler wrote to it |

In CSV, lists are JSON, and a text that a spreadsheet would run as a formula has an
apostrophe before it.
""",
    "pairs": f"""\
One row a strict pair: one response that was ranked above another. Ties give no row.
Pairs of one ranking stand together. TRL's RewardTrainer and DPOTrainer read the file as
it is.

| field | meaning |
|---|---|
| `prompt`, `chosen`, `rejected` | messages |
{_ORIGIN}\
| `chosen_id`, `rejected_id` | ids of the two responses |
| `rank_gap` | difference of their ranks, without gaps |
{_WEIGHTS}""",
    "kto": f"""\
One row a response, wanted or not. TRL's KTOTrainer reads the file as it is.

| field | meaning |
|---|---|
| `prompt`, `completion` | messages |
| `label` | true: it is better than more responses of the ranking than are better than \
it; false: the other way round; those in the middle are left out |
{_ORIGIN}\
{_WEIGHTS}""",
    "openrlhf": f"""\
One row a strict pair, for OpenRLHF: `--apply_chat_template --prompt_key prompt
--chosen_key chosen --rejected_key rejected`.

| field | meaning |
|---|---|
| `prompt`, `chosen`, `rejected` | messages |
| `margin` | difference of the ranks, for `--margin_loss` |
{_ORIGIN}\
{_WEIGHTS}""",
    "nemo": f"""\
One row a strict pair, for NeMo RL's `PreferenceDataset`.

| field | meaning |
|---|---|
| `context` | messages |
| `completions` | two of `{{rank, completion}}`; rank 0 is preferred to rank 1 |
{_ORIGIN}\
{_WEIGHTS}""",
    "label-studio": """\
One task a prompt, with an annotation for each ranking. The labeling configuration:

```xml
<View>
  <Text name="prompt" value="$prompt"/>
  <List name="responses" value="$items" title="Responses"/>
  <Ranker name="rank" toName="responses">
    <Bucket name="rank-1" title="1"/> <Bucket name="rank-2" title="2"/> <!-- to K -->
  </Ranker>
</View>
```

A bucket is a rank; responses in one bucket are tied. `labeler` is a pseudonym: Label
Studio itself assigns the annotations to whoever imports them.
""",
    "argilla": """\
One feedback record a prompt: fields `prompt`, `response-1` to `response-K`; for each
labeler a response to the ranking question `ranking`, whose values are the names of
these fields. Equal ranks are a tie. `user_id` stands for a labeler's pseudonym; your
Argilla needs users of these ids, or give it others.
""",
}
