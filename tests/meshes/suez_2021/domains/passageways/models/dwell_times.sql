select
    *,
    (max(arrival_date) over (partition by waterway) + 1)::date as known_from
from {{ ref('stg_dwell_times') }}
