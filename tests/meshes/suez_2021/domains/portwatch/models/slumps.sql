with days_of_slump as (
    select
        *,
        -- the same for all days of one run: the day less its place among the days of slump
        day - row_number() over (partition by portid order by day)::integer as run
    from {{ ref('daily_transits') }}
    where n_total < 0.75 * usual_total
),

series as (
    select portid, max(day) as last_day
    from {{ ref('daily_transits') }}
    group by portid
)

select
    portid,
    min(day) as began_on,
    case when max(day) < any_value(last_day) then max(day) end as ended_on,
    (min(day) + 2)::date as seen_on,
    count(*)::bigint as days,
    arg_min(usual_total, day) as usual_total,
    min(n_total) as lowest_total,
    arg_min(day, (n_total, day)) as lowest_on,
    arg_min(usual_total, day) * count(*) - sum(n_total)::bigint as missing_transits
from days_of_slump
inner join series using (portid)
group by portid, run
having count(*) >= 3
