{# Codes come with stray blanks and in any case: `code` is the trimmed text in capitals, null where nothing is left. #}
{% macro code(column) %}nullif(upper(trim({{ column }})), ''){% endmacro %}

{# Names of waterways and cargo as our contracts write them: lower case, underscores. #}
{% macro name_code(column) %}nullif(replace(replace(lower(trim({{ column }})), ' ', '_'), '-', '_'), ''){% endmacro %}

{# The desk writes Hamburg time, `31.12.2021 14:05`: here it becomes a timestamp in UTC. #}
{% macro hamburg_to_utc(column) -%}
timezone('UTC', timezone('Europe/Berlin', strptime(trim({{ column }}), '%d.%m.%Y %H:%M')))
{%- endmacro %}

{# Hours between two timestamps, to a hundredth. #}
{% macro hours_between(earlier, later) -%}
cast(cast(date_diff('minute', {{ earlier }}, {{ later }}) as decimal(18, 4)) / 60 as decimal(8, 2))
{%- endmacro %}
