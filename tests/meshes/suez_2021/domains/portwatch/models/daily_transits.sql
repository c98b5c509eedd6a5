select
    portid,
    day,
    n_total,
    n_container,
    n_tanker,
    n_cargo,
    capacity_tonnes,
    case when count(*) over four_weeks_before = 28
        then median(n_total) over four_weeks_before
    end::double as usual_total
from {{ ref('stg_daily_transits') }}
window four_weeks_before as (
    partition by portid order by day
    range between interval 28 days preceding and interval 1 day preceding
)
