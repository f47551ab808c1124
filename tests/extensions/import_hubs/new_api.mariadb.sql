/*M!999999\- enable the sandbox mode */ 
-- A dump by mariadb-dump 10.11 of New API's tables as GORM's own migrator makes them, with made-up rows.
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: newapi
-- ------------------------------------------------------
-- Server version	10.11.19-MariaDB-0+deb12u1

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

--
-- Table structure for table `channels`
--

DROP TABLE IF EXISTS `channels`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `channels` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `type` bigint(20) DEFAULT 0,
  `key` longtext NOT NULL,
  `open_ai_organization` longtext DEFAULT NULL,
  `test_model` longtext DEFAULT NULL,
  `status` bigint(20) DEFAULT 1,
  `name` varchar(191) DEFAULT NULL,
  `weight` bigint(20) unsigned DEFAULT 0,
  `created_time` bigint(20) DEFAULT NULL,
  `test_time` bigint(20) DEFAULT NULL,
  `response_time` bigint(20) DEFAULT NULL,
  `base_url` varchar(191) DEFAULT '',
  `other` longtext DEFAULT NULL,
  `balance` double DEFAULT NULL,
  `balance_updated_time` bigint(20) DEFAULT NULL,
  `models` longtext DEFAULT NULL,
  `group` varchar(64) DEFAULT 'default',
  `used_quota` bigint(20) DEFAULT 0,
  `model_mapping` text DEFAULT NULL,
  `status_code_mapping` varchar(1024) DEFAULT '',
  `priority` bigint(20) DEFAULT 0,
  `auto_ban` bigint(20) DEFAULT 1,
  `other_info` longtext DEFAULT NULL,
  `tag` varchar(191) DEFAULT NULL,
  `setting` text DEFAULT NULL,
  `param_override` text DEFAULT NULL,
  `header_override` text DEFAULT NULL,
  `remark` varchar(255) DEFAULT NULL,
  `channel_info` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`channel_info`)),
  `settings` longtext DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `idx_channels_name` (`name`),
  KEY `idx_channels_tag` (`tag`)
) ENGINE=InnoDB AUTO_INCREMENT=6 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `channels`
--

LOCK TABLES `channels` WRITE;
/*!40000 ALTER TABLE `channels` DISABLE KEYS */;
INSERT INTO `channels` VALUES
(1,1,'sk-upstream-one\nsk-upstream-two',NULL,NULL,1,'main',0,1700000000,NULL,NULL,'http://127.0.0.1:9',NULL,NULL,NULL,'gpt-4o-mini,house-model','default,vip',0,'{\"house-model\": \"gpt-4o\"}','',10,1,NULL,'eu','',NULL,NULL,NULL,'{\"is_multi_key\":true,\"multi_key_size\":2,\"multi_key_status_list\":{\"1\":3},\"multi_key_polling_index\":0,\"multi_key_mode\":\"random\"}',NULL),
(2,14,'sk-ant-upstream',NULL,NULL,1,'claude',3,1700000000,NULL,NULL,'',NULL,NULL,NULL,'claude-sonnet-4-5','vip',0,'','',0,1,NULL,NULL,'{\"proxy\":\"socks5://10.0.0.1:1080\"}',NULL,NULL,NULL,'{\"is_multi_key\":false}',NULL),
(3,15,'baidu-key',NULL,NULL,1,'baidu',0,1700000000,NULL,NULL,'',NULL,NULL,NULL,'ERNIE-4.0-8K','default',0,'','',0,1,NULL,NULL,'',NULL,NULL,NULL,NULL,NULL),
(4,1,'sk-inside',NULL,NULL,1,'inside',0,1700000000,NULL,NULL,'http://169.254.169.254',NULL,NULL,NULL,'gpt-4o-mini','default',0,'','',0,1,NULL,NULL,'',NULL,NULL,NULL,NULL,NULL),
(5,43,'sk-deepseek',NULL,NULL,2,'main',0,1700000000,NULL,NULL,'',NULL,NULL,NULL,'deepseek-chat','default',0,'','',0,1,NULL,NULL,'',NULL,NULL,NULL,NULL,NULL);
/*!40000 ALTER TABLE `channels` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `options`
--

DROP TABLE IF EXISTS `options`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `options` (
  `key` varchar(191) NOT NULL,
  `value` longtext DEFAULT NULL,
  PRIMARY KEY (`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `options`
--

LOCK TABLES `options` WRITE;
/*!40000 ALTER TABLE `options` DISABLE KEYS */;
INSERT INTO `options` VALUES
('CacheRatio','{\"gpt-4o-mini\": 0.5, \"claude-sonnet-4-5\": 0.1}'),
('CompletionRatio','{\"gpt-4-gizmo-*\": 2, \"claude-sonnet-4-5\": 99, \"house-model\": 2.5}'),
('GroupRatio','{\"default\": 1, \"vip\": 0.8, \"svip\": 0.5}'),
('ModelRatio','{\"gpt-4o-mini\": 0.075, \"claude-sonnet-4-5\": 1.5, \"house-model\": 1.1, \"never-served\": 3}'),
('QuotaPerUnit','500000.000000'),
('SMTPToken','a secret of the mail server');
/*!40000 ALTER TABLE `options` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `redemptions`
--

DROP TABLE IF EXISTS `redemptions`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `redemptions` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `user_id` bigint(20) DEFAULT NULL,
  `key` char(32) DEFAULT NULL,
  `status` bigint(20) DEFAULT 1,
  `name` varchar(191) DEFAULT NULL,
  `quota` bigint(20) DEFAULT 100,
  `created_time` bigint(20) DEFAULT NULL,
  `redeemed_time` bigint(20) DEFAULT NULL,
  `used_user_id` bigint(20) DEFAULT NULL,
  `deleted_at` datetime(3) DEFAULT NULL,
  `expired_time` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `idx_redemptions_key` (`key`),
  KEY `idx_redemptions_name` (`name`),
  KEY `idx_redemptions_used_user_id` (`used_user_id`),
  KEY `idx_redemptions_deleted_at` (`deleted_at`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `redemptions`
--

LOCK TABLES `redemptions` WRITE;
/*!40000 ALTER TABLE `redemptions` DISABLE KEYS */;
INSERT INTO `redemptions` VALUES
(1,1,'00000000000000000000000000000001',1,'gift',500000,1700000000,0,0,NULL,0),
(2,1,'00000000000000000000000000000002',3,'gift',500000,1700000000,1700000001,2,NULL,0);
/*!40000 ALTER TABLE `redemptions` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `tokens`
--

DROP TABLE IF EXISTS `tokens`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `tokens` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `user_id` bigint(20) DEFAULT NULL,
  `key` varchar(128) DEFAULT NULL,
  `status` bigint(20) DEFAULT 1,
  `name` varchar(191) DEFAULT NULL,
  `created_time` bigint(20) DEFAULT NULL,
  `accessed_time` bigint(20) DEFAULT NULL,
  `expired_time` bigint(20) DEFAULT -1,
  `remain_quota` bigint(20) DEFAULT 0,
  `unlimited_quota` tinyint(1) DEFAULT NULL,
  `model_limits_enabled` tinyint(1) DEFAULT NULL,
  `model_limits` text DEFAULT NULL,
  `allow_ips` varchar(191) DEFAULT '',
  `used_quota` bigint(20) DEFAULT 0,
  `group` varchar(191) DEFAULT '',
  `cross_group_retry` tinyint(1) DEFAULT NULL,
  `deleted_at` datetime(3) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `idx_tokens_key` (`key`),
  KEY `idx_tokens_user_id` (`user_id`),
  KEY `idx_tokens_name` (`name`),
  KEY `idx_tokens_deleted_at` (`deleted_at`)
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `tokens`
--

LOCK TABLES `tokens` WRITE;
/*!40000 ALTER TABLE `tokens` DISABLE KEYS */;
INSERT INTO `tokens` VALUES
(1,2,'kGq7wYbN3dT0hJ5sV9xZ1cR4mF8pL2aE6uI0oK7tB3nH5yWq',1,'laptop',1700000000,NULL,-1,500000,0,0,'','',12,'',NULL,NULL),
(2,2,'limitedlimitedlimitedlimitedlimitedlimited000001',1,'limited',1700000000,NULL,4102444800,0,1,1,'gpt-4o-mini,claude-sonnet-4-5','127.0.0.1\n10.0.0.5/8',0,'',NULL,NULL),
(3,2,'expiredexpiredexpiredexpiredexpiredexpired000001',3,'old',1700000000,NULL,1700000001,10,0,0,'','',0,'',NULL,NULL),
(4,2,'disableddisableddisableddisableddisabled00000001',2,'laptop',1700000000,NULL,-1,0,1,0,'','',0,'',NULL,NULL),
(5,2,'othergroupothergroupothergroupothergroup00000001',1,'cheap',1700000000,NULL,-1,0,1,0,'','',0,'default',NULL,NULL),
(6,3,'owesowesowesowesowesowesowesowesowesowesowes0001',1,'default',1700000000,NULL,-1,0,1,0,'','',0,'',NULL,NULL),
(7,5,'gonegonegonegonegonegonegonegonegonegonegone0001',1,'default',1700000000,NULL,-1,0,1,0,'','',0,'',NULL,NULL),
(8,1,'rootrootrootrootrootrootrootrootrootrootroot0001',1,'<script>alert(1)</script>',1700000000,NULL,-1,0,1,0,'','not an address',0,'auto',NULL,NULL);
/*!40000 ALTER TABLE `tokens` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `user_subscriptions`
--

DROP TABLE IF EXISTS `user_subscriptions`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `user_subscriptions` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `user_id` bigint(20) DEFAULT NULL,
  `plan_id` bigint(20) DEFAULT NULL,
  `amount_total` bigint(20) NOT NULL DEFAULT 0,
  `amount_used` bigint(20) NOT NULL DEFAULT 0,
  `start_time` bigint(20) DEFAULT NULL,
  `end_time` bigint(20) DEFAULT NULL,
  `status` varchar(32) DEFAULT NULL,
  `source` varchar(32) DEFAULT 'order',
  `last_reset_time` bigint(20) DEFAULT 0,
  `next_reset_time` bigint(20) DEFAULT 0,
  `upgrade_group` varchar(64) DEFAULT '',
  `prev_user_group` varchar(64) DEFAULT '',
  `created_at` bigint(20) DEFAULT NULL,
  `updated_at` bigint(20) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `idx_user_subscriptions_user_id` (`user_id`),
  KEY `idx_user_subscriptions_plan_id` (`plan_id`),
  KEY `idx_user_subscriptions_end_time` (`end_time`),
  KEY `idx_user_subscriptions_status` (`status`),
  KEY `idx_user_subscriptions_next_reset_time` (`next_reset_time`)
) ENGINE=InnoDB AUTO_INCREMENT=2 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `user_subscriptions`
--

LOCK TABLES `user_subscriptions` WRITE;
/*!40000 ALTER TABLE `user_subscriptions` DISABLE KEYS */;
INSERT INTO `user_subscriptions` VALUES
(1,2,1,1000000,250000,1700000000,4102444800,'active','order',0,0,'','',NULL,NULL);
/*!40000 ALTER TABLE `user_subscriptions` ENABLE KEYS */;
UNLOCK TABLES;

--
-- Table structure for table `users`
--

DROP TABLE IF EXISTS `users`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `users` (
  `id` bigint(20) NOT NULL AUTO_INCREMENT,
  `username` varchar(191) DEFAULT NULL,
  `password` longtext NOT NULL,
  `display_name` varchar(191) DEFAULT NULL,
  `role` bigint(20) DEFAULT 1,
  `status` bigint(20) DEFAULT 1,
  `email` varchar(191) DEFAULT NULL,
  `github_id` varchar(191) DEFAULT NULL,
  `discord_id` varchar(191) DEFAULT NULL,
  `oidc_id` varchar(191) DEFAULT NULL,
  `wechat_id` varchar(191) DEFAULT NULL,
  `telegram_id` varchar(191) DEFAULT NULL,
  `access_token` char(32) DEFAULT NULL,
  `quota` bigint(20) DEFAULT 0,
  `used_quota` bigint(20) DEFAULT 0,
  `request_count` bigint(20) DEFAULT 0,
  `group` varchar(64) DEFAULT 'default',
  `aff_code` varchar(32) DEFAULT NULL,
  `aff_count` bigint(20) DEFAULT 0,
  `aff_quota` bigint(20) DEFAULT 0,
  `aff_history` bigint(20) DEFAULT 0,
  `inviter_id` bigint(20) DEFAULT NULL,
  `invite_rebate_eligible` tinyint(1) DEFAULT 0,
  `deleted_at` datetime(3) DEFAULT NULL,
  `linux_do_id` varchar(191) DEFAULT NULL,
  `setting` text DEFAULT NULL,
  `remark` varchar(255) DEFAULT NULL,
  `stripe_customer` varchar(64) DEFAULT NULL,
  `created_at` bigint(20) DEFAULT NULL,
  `last_login_at` bigint(20) DEFAULT 0,
  `auth_version` bigint(20) NOT NULL DEFAULT 1,
  PRIMARY KEY (`id`),
  UNIQUE KEY `idx_users_access_token` (`access_token`),
  UNIQUE KEY `idx_users_aff_code` (`aff_code`),
  UNIQUE KEY `uni_users_username` (`username`),
  KEY `idx_users_username` (`username`),
  KEY `idx_users_display_name` (`display_name`),
  KEY `idx_users_email` (`email`),
  KEY `idx_users_git_hub_id` (`github_id`),
  KEY `idx_users_discord_id` (`discord_id`),
  KEY `idx_users_oidc_id` (`oidc_id`),
  KEY `idx_users_we_chat_id` (`wechat_id`),
  KEY `idx_users_telegram_id` (`telegram_id`),
  KEY `idx_users_inviter_id` (`inviter_id`),
  KEY `idx_users_deleted_at` (`deleted_at`),
  KEY `idx_users_linux_do_id` (`linux_do_id`),
  KEY `idx_users_stripe_customer` (`stripe_customer`)
) ENGINE=InnoDB AUTO_INCREMENT=6 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

--
-- Dumping data for table `users`
--

LOCK TABLES `users` WRITE;
/*!40000 ALTER TABLE `users` DISABLE KEYS */;
INSERT INTO `users` VALUES
(1,'root','$2a$10$notahash','Root User',100,1,'',NULL,NULL,NULL,NULL,NULL,'a-management-token',1000000000,5,0,'default',NULL,0,0,0,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,0,1),
(2,'ming','$2a$10$notahash','小明',1,1,'Ming@example.org',NULL,NULL,NULL,NULL,NULL,NULL,1234567,7654321,0,'vip',NULL,0,250,0,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,0,1),
(3,'owes','$2a$10$notahash','',1,1,'owes@example.org',NULL,NULL,NULL,NULL,NULL,NULL,-17,400,0,'default',NULL,0,0,0,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,0,1),
(4,'off','$2a$10$notahash','Switched Off',1,2,'off@example.org',NULL,NULL,NULL,NULL,NULL,NULL,900,0,0,'default',NULL,0,0,0,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,0,1),
(5,'gone','$2a$10$notahash','Gone',1,1,'gone@example.org',NULL,NULL,NULL,NULL,NULL,NULL,40,0,0,'default',NULL,0,0,0,NULL,0,'2026-01-02 03:04:05.000',NULL,NULL,NULL,NULL,NULL,0,1);
/*!40000 ALTER TABLE `users` ENABLE KEYS */;
UNLOCK TABLES;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed on 2026-11-24 21:13:52
