WITH sellers AS (
  SELECT
    coalesce(country, '(unknown)') AS country,
    gender,
    productsSold AS sold,
    productsListed AS listed,
    daysSinceLastLogin AS offline,
    socialNbFollowers AS followers,
    socialNbFollows AS follows,
    productsSold >= 20 AS is_top
  FROM silver_users
  WHERE productsSold > 0
)
SELECT
  country,
  count(*) AS sellers,
  count_if(is_top) AS topsellers,
  round(100 * count_if(is_top) / count(*), 1) AS topsellerratio,
  round(100 * count_if(gender = 'F') / count(*), 1) AS femalesellersratio,
  round(100 * count_if(is_top AND gender = 'F') / count_if(is_top), 1) AS topfemalesellersratio,
  count_if(gender = 'F') AS femalesellers,
  count_if(gender = 'M') AS malesellers,
  count_if(is_top AND gender = 'F') AS topfemalesellers,
  count_if(is_top AND gender = 'M') AS topmalesellers,
  round(try_divide(sum(sold), sum(listed)), 2) AS countrysoldratio,
  round(try_divide(sum(sold) FILTER (WHERE is_top), sum(listed) FILTER (WHERE is_top)), 2)
    AS bestsoldratio,
  coalesce(sum(sold) FILTER (WHERE is_top), 0) AS toptotalproductssold,
  sum(sold) AS totalproductssold,
  coalesce(sum(listed) FILTER (WHERE is_top), 0) AS toptotalproductslisted,
  coalesce(sum(listed), 0) AS totalproductslisted,
  avg(sold) FILTER (WHERE is_top) AS topmeanproductssold,
  avg(listed) FILTER (WHERE is_top) AS topmeanproductslisted,
  avg(sold) AS meanproductssold,
  avg(listed) AS meanproductslisted,
  round(avg(offline), 1) AS meanofflinedays,
  round(avg(offline) FILTER (WHERE is_top), 1) AS topmeanofflinedays,
  round(avg(followers), 1) AS meanfollowers,
  round(avg(follows), 1) AS meanfollowing,
  round(avg(followers) FILTER (WHERE is_top), 1) AS topmeanfollowers,
  round(avg(follows) FILTER (WHERE is_top), 1) AS topmeanfollowing
FROM sellers
GROUP BY country
HAVING count_if(is_top) > 0
ORDER BY topsellerratio DESC, country
