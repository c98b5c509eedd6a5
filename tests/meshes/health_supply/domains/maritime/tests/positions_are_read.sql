-- One position known by hand: 46°37'50.89" N 31°35'01.64" E.
select reference
from {{ ref('incidents') }}
where reference = '2022-146' and (abs(latitude - 46.630803) > 0.000001 or abs(longitude - 31.583789) > 0.000001)
