-- The rule of the contract: above median + 3 x 1.4826 x median absolute deviation of the waterway's days.
with rule as (
    select
        waterway,
        median(dwell_hours) as ordinary_hours,
        median(dwell_hours) + 3 * 1.4826 * mad(dwell_hours) as limit_hours
    from {{ source('passageways', 'dwell_times') }}
    group by waterway
),

days as (
    select *, dwell_hours > limit_hours as is_abnormal
    from {{ source('passageways', 'dwell_times') }}
    inner join rule using (waterway)
),

followed as (
    select
        *,
        max(case when not is_abnormal then arrival_date end) over (
            partition by waterway order by arrival_date
            rows between unbounded preceding and 1 preceding
        ) as last_ordinary_on,
        min(case when not is_abnormal then arrival_date end) over (
            partition by waterway order by arrival_date
            rows between 1 following and unbounded following
        ) as ordinary_again_on
    from days
)

select
    waterway,
    arrival_date,
    arrivals,
    complete_transits,
    dwell_hours,
    idle_hours,
    ordinary_hours,
    limit_hours,
    last_ordinary_on,
    ordinary_again_on,
    known_from
from followed
where is_abnormal
