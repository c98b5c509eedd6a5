{# Codes come with stray blanks, in any case, sometimes with blanks for underscores. #}
{% macro code(column) %}nullif(replace(upper(trim({{ column }})), ' ', '_'), ''){% endmacro %}

{# The desk sits in Panama and writes `12/31/2021 02:05 PM`: here it becomes a timestamp in UTC. #}
{% macro panama_to_utc(column) -%}
timezone('UTC', timezone('America/Panama', strptime(nullif(trim({{ column }}), ''), '%m/%d/%Y %I:%M %p')))
{%- endmacro %}
