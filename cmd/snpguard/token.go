package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/snpguard-go/packer-plugin-snpguard/internal/option"
	"github.com/snpguard-go/packer-plugin-snpguard/internal/protocol/wire"
)

func newTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Manage the API tokens of the service",
		Long: `Manage the API tokens of the service. A token has one of four roles: read looks
at everything that is not secret, register also registers images and exports
bundles, approve also decides on releases, admin does everything.`,
		Example: `  snpguard token create packer --role register --lifetime 30d > token
  snpguard token list`,
		Args: wantsCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreateCommand(), newTokenListCommand(), newTokenRevokeCommand())
	return cmd
}

func newTokenCreateCommand() *cobra.Command {
	var role string
	lifetime := option.Duration(90 * 24 * time.Hour)
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a token and print it, this once",
		Example: "  snpguard token create packer --role register --lifetime 30d > token",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, err := connect()
			if err != nil {
				return err
			}
			token, err := service.CreateToken(cmd.Context(), wire.TokenRequest{
				Name: args[0], Role: wire.Role(role), ExpiresIn: int64(time.Duration(lifetime) / time.Second),
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), token)
			}
			note(cmd, "token %s, role %s, valid until %s", safe(token.ID), safe(string(token.Role)), stamp(token.ExpiresAt))
			_, err = fmt.Fprintln(cmd.OutOrStdout(), safe(token.Secret))
			return err
		},
	}
	cmd.Flags().StringVar(&role, "role", string(wire.RoleRead), "read, register, approve or admin")
	cmd.Flags().Var(&lifetime, "lifetime", "how long the token is valid, for example 30d or 12h")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newTokenListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens",
		Example: "  snpguard token list --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			service, err := connect()
			if err != nil {
				return err
			}
			tokens, err := service.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), tokens)
			}
			t := newTable(cmd)
			fmt.Fprintln(t, "ID\tNAME\tROLE\tEXPIRES\tLAST USED\tSTATE")
			for _, token := range tokens {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", safe(token.ID), safe(token.Name), safe(string(token.Role)),
					stamp(token.ExpiresAt), stampOf(token.LastUsedAt), tokenState(token))
			}
			return t.Flush()
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func stampOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t)
}

func tokenState(t wire.Token) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case time.Now().After(t.ExpiresAt):
		return "expired"
	}
	return "valid"
}

func newTokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a token at once",
		Example: "  snpguard token revoke 0f5b6b52-8f6c-4c8e-9d57-51f3f0a7a1b2",
		Args:    oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			service, err := connect()
			if err != nil {
				return err
			}
			return service.RevokeToken(cmd.Context(), args[0])
		},
	}
}
