-- Each arrival day of the blockage, 23 to 29 March 2021, must come out of the rule by itself.
select 1
from (
    select count(*) as n
    from {{ ref('abnormal_days') }}
    where waterway = 'suez-canal' and arrival_date between date '2021-03-23' and date '2021-03-29'
)
where n <> 7
