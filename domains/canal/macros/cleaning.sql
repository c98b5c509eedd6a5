{# Waterways and kinds as our contracts write them: lower case, underscores; null where nothing is left. #}
{% macro name_code(column) %}nullif(replace(replace(lower(trim({{ column }})), ' ', '_'), '-', '_'), ''){% endmacro %}

{# The register keeps the waterway's own local time and names its zone; a date alone is its midnight. #}
{% macro local_to_utc(column, zone) -%}
timezone('UTC', timezone(trim({{ zone }}), cast(nullif(trim({{ column }}), '') as timestamp)))
{%- endmacro %}
